"""LightGBM: one booster a level, all on one binned dataset."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np

from raysearch.metrics import Array
from raysearch.models.lightgbm_fit import FILE, Fit, base_params
from raysearch.models.protocol import MEAN_ROUNDS, SMALL_LEAVES, FitSettings, Frame, Known
from raysearch.models.tunables import CAT_SMOOTH, TUNABLE

# A dataset binned under other values of these would be used silently or refused.
_BINNING = TUNABLE["lightgbm"].binning
_CAREFUL_ROWS = 300.0  # of a category, below which a careful mean does not tell it apart
_MEAN = {  # learns quickly, and alike on small and large tables
    "objective": "regression",
    "metric": "rmse",
    "learning_rate": 0.1,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
}


def _dataset(
    rows: Any, frame: Frame, params: Mapping[str, Any], settings: FitSettings, **truth: Array | None
) -> lgb.Dataset:
    """Return ``rows``, the frame's features or a file of what they were binned to, as binned data."""
    own = {name: params[name] for name in _BINNING if name in params}
    dataset = lgb.Dataset(
        rows,
        categorical_feature=[i for i, categorical in enumerate(frame.categorical) if categorical],
        free_raw_data=True,  # False would bin again silently when parameters differ
        params={**base_params(settings, frame.rows), **own},
        **truth,
    )
    return dataset.construct()


class LightGBM:
    """Adapter of LightGBM; see ``QuantileModel``."""

    name = "lightgbm"

    def bin_key(self, params: Mapping[str, Any]) -> Hashable:
        return tuple(params.get(name) for name in _BINNING)

    def bin(
        self,
        frame: Frame,
        z: Array,
        params: Mapping[str, Any],
        settings: FitSettings,
        weights: Array | None = None,
    ) -> lgb.Dataset:
        return _dataset(frame.features, frame, params, settings, label=z, weight=weights)

    def save_binned(self, binned: lgb.Dataset, path: Path) -> None:
        binned.save_binary(path)

    def load_binned(
        self, path: Path, frame: Frame, params: Mapping[str, Any], settings: FitSettings
    ) -> lgb.Dataset:
        dataset = _dataset(path, frame, params, settings)
        if (dataset.num_data(), dataset.num_feature()) != (frame.rows, frame.features.num_columns):
            raise ValueError(f"{path} holds other rows")
        return dataset

    @contextlib.contextmanager
    def joined(self, network: Mapping[str, Any]) -> Iterator[None]:
        # A network belongs to a booster in Python, but to the thread in the library: one that trains nothing
        # holds it for all others.
        holder = lgb.Booster({"verbosity": -1}, lgb.Dataset(np.zeros((2, 1)), np.zeros(2)))
        holder.set_network(**network)
        try:
            yield
        finally:
            holder.free_network()

    def start(
        self, binned: lgb.Dataset, params: Mapping[str, Any], settings: FitSettings, watched: Frame
    ) -> Fit:
        return Fit(binned, params, settings, watched)

    def restore(
        self,
        saved: Mapping[str, bytes],
        rows: tuple[lgb.Dataset, Frame],
        params: Mapping[str, Any],
        settings: FitSettings,
        watched: Frame,
    ) -> Fit:
        binned, frame = rows
        return Fit(binned, params, settings, watched, (saved, frame))

    def together(self, parts: Sequence[Mapping[str, bytes]]) -> dict[str, bytes]:
        return {FILE.format(i): content for i, part in enumerate(parts) for content in part.values()}

    def load(self, files: Mapping[str, bytes], levels: Sequence[float]) -> Callable[[Frame], Array]:
        boosters = [lgb.Booster(model_str=files[name].decode()) for name in sorted(files)]
        if len(boosters) != len(levels):
            raise ValueError(f"{len(boosters)} boosters for {len(levels)} levels")

        def predict(frame: Frame) -> Array:
            columns = [booster.predict(frame.features) for booster in boosters] if frame.rows else []
            return np.column_stack(columns) if columns else np.empty((0, len(levels)))

        return predict

    def importance(self, files: Mapping[str, bytes], columns: int) -> Array:
        total: Array = np.zeros(columns)
        for content in files.values():
            total += lgb.Booster(model_str=content.decode()).feature_importance("gain")
        return total

    def fit_mean(
        self,
        rows: Known,
        ahead: tuple[Frame, Array],
        settings: FitSettings,
        *,
        small: bool,
        careful: bool = False,
    ) -> tuple[dict[str, bytes], float]:
        frame, z, weights = rows
        params = {**base_params(settings, frame.rows), **_MEAN, "num_threads": settings.of_a_tree}
        if small:
            params["num_leaves"] = SMALL_LEAVES
        if careful:
            params[CAT_SMOOTH] = _CAREFUL_ROWS
        if settings.monotone:
            params["monotone_constraints"] = list(settings.monotone)
        codes = [i for i, categorical in enumerate(frame.categorical) if categorical]
        known = lgb.Dataset(frame.features, z, weight=weights, categorical_feature=codes, params=params)
        watched = lgb.Dataset(ahead[0].features, ahead[1], reference=known, params=params)
        rounds, patience = MEAN_ROUNDS[small]
        stop = lgb.early_stopping(patience, verbose=False)
        booster = lgb.train(params, known, rounds, valid_sets=[watched], callbacks=[stop])
        files = {"mean.txt": booster.model_to_string(num_iteration=booster.best_iteration).encode()}
        return files, float(booster.best_score["valid_0"]["rmse"])

    def load_mean(self, files: Mapping[str, bytes]) -> Callable[[Frame], Array]:
        booster = lgb.Booster(model_str=files["mean.txt"].decode())
        return lambda frame: (
            np.asarray(booster.predict(frame.features), dtype=np.float64) if frame.rows else np.empty(0)
        )


MODEL = LightGBM()
