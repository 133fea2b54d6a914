"""XGBoost: one booster for all levels, one tree a level and round."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from raysearch.metrics import Array
from raysearch.models.protocol import MEAN_ROUNDS, SMALL_LEAVES, FitSettings, Frame, Known
from raysearch.models.tunables import OWN, TUNABLE

_CAREFUL_ROWS = 50  # of a leaf, at least, of a careful mean
_FILE = "model.ubj"
_ROUNDS = TUNABLE["xgboost"].rounds


def _types(frame: Frame) -> list[str]:
    return ["c" if categorical else "q" for categorical in frame.categorical]


def sees_gpu() -> bool:
    """Tell whether the library would train on a GPU here; where it sees none it silently does without."""
    with xgb.config_context(verbosity=0):
        row = xgb.DMatrix(np.zeros((1, 1)), label=np.zeros(1))
        return _on_gpu(xgb.Booster({"device": "cuda"}, cache=[row]))


def _on_gpu(booster: xgb.Booster) -> bool:
    device: str = json.loads(booster.save_config())["learner"]["generic_param"]["device"]
    return device.startswith("cuda")


class _Fit:
    additive = True

    def __init__(
        self,
        binned: xgb.QuantileDMatrix,
        params: Mapping[str, Any],
        settings: FitSettings,
        watched: Frame,
        saved: Mapping[str, bytes] | None = None,
    ) -> None:
        own = {k: v for k, v in params.items() if k not in (_ROUNDS, *OWN)}
        self._train = binned
        # Watched rows need some label for the booster to accept them; it is never read.
        self._watched = xgb.DMatrix(
            watched.features,
            label=np.zeros(watched.rows),
            feature_types=_types(watched),
            enable_categorical=True,
            nthread=settings.of_a_tree,
        )
        self._booster = xgb.Booster(
            {
                "objective": "reg:quantileerror",
                "quantile_alpha": np.asarray(settings.levels),
                "tree_method": "hist",
                "device": "cuda" if settings.gpu else "cpu",
                "nthread": settings.of_a_tree,
                "seed": settings.seed,
                # Else boosters that advance by turns, one a fold, would draw from each other's chances.
                "seed_per_iteration": settings.interleaved,
                "verbosity": 0,
                **own,
            },
            # Known matrices keep their predictions, so that a rung adds only its own trees.
            cache=[self._train, self._watched],
            model_file=bytearray(saved[_FILE]) if saved else None,
        )
        if settings.gpu and not _on_gpu(self._booster):
            why = "does `nvidia-smi` run on its node?"
            if not xgb.build_info().get("USE_CUDA"):
                why = "it was built without CUDA; `pip install xgboost` brings one that has it"
            raise RuntimeError(f"XGBoost sees no GPU here, though the trial was given one: {why}")
        self._shape = (watched.rows, len(settings.levels))
        self.rounds = int(self._booster.num_boosted_rounds()) if saved else 0

    def advance(self, rounds: int) -> None:
        for done in range(self.rounds, rounds):
            self._booster.update(self._train, done)
        self.rounds = rounds

    def predict_watched(self, rounds: int | None = None) -> Array:
        if not self._shape[0]:
            return np.empty(self._shape)
        first = (0, 0 if rounds in (None, self.rounds) else rounds)  # up to 0: all
        values = np.asarray(self._booster.predict(self._watched, iteration_range=first), dtype=np.float64)
        return values.reshape(self._shape)

    def dump(self, rounds: int | None = None) -> dict[str, bytes]:
        kept = self._booster if rounds is None or rounds == self.rounds else self._booster[:rounds]
        return {_FILE: bytes(kept.save_raw("ubj"))}

    def save(self) -> dict[str, bytes]:
        return self.dump()


class XGBoost:
    """Adapter of XGBoost; see ``QuantileModel``."""

    name = "xgboost"

    def bin_key(self, params: Mapping[str, Any]) -> Hashable:
        return params.get("max_bin")

    def bin(
        self,
        frame: Frame,
        z: Array,
        params: Mapping[str, Any],
        settings: FitSettings,
        weights: Array | None = None,
    ) -> xgb.QuantileDMatrix:
        return xgb.QuantileDMatrix(
            frame.features,
            label=z,
            weight=weights,
            feature_types=_types(frame),
            enable_categorical=True,
            max_bin=int(params.get("max_bin", TUNABLE[self.name].defaults["max_bin"])),
            nthread=settings.of_a_tree,
        )

    def save_binned(self, binned: xgb.QuantileDMatrix, path: Path) -> None:
        raise NotImplementedError("XGBoost keeps no binned data in files")

    def load_binned(
        self, path: Path, frame: Frame, params: Mapping[str, Any], settings: FitSettings
    ) -> xgb.QuantileDMatrix:
        raise NotImplementedError("XGBoost keeps no binned data in files")

    def joined(self, network: Mapping[str, Any]) -> AbstractContextManager[None]:
        return contextlib.nullcontext()  # a communicator of the process serves all that is trained in it

    def start(
        self, binned: xgb.QuantileDMatrix, params: Mapping[str, Any], settings: FitSettings, watched: Frame
    ) -> _Fit:
        return _Fit(binned, params, settings, watched)

    def restore(
        self,
        saved: Mapping[str, bytes],
        rows: tuple[xgb.QuantileDMatrix, Frame],
        params: Mapping[str, Any],
        settings: FitSettings,
        watched: Frame,
    ) -> _Fit:
        return _Fit(rows[0], params, settings, watched, saved)

    def together(self, parts: Sequence[Mapping[str, bytes]]) -> dict[str, bytes]:
        (files,) = parts
        return dict(files)

    def load(self, files: Mapping[str, bytes], levels: Sequence[float]) -> Callable[[Frame], Array]:
        booster = _load(files)
        targets = int(json.loads(booster.save_config())["learner"]["learner_model_param"]["num_target"])
        if targets != len(levels):
            raise ValueError(f"a booster of {targets} levels for {len(levels)} levels")

        def predict(frame: Frame) -> Array:
            if not frame.rows:
                return np.empty((0, len(levels)))
            values = booster.inplace_predict(frame.view().matrix)
            return np.asarray(values, dtype=np.float64).reshape(frame.rows, len(levels))

        return predict

    def importance(self, files: Mapping[str, bytes], columns: int) -> Array:
        total: Array = np.zeros(columns)
        for name, gain in _load(files).get_score(importance_type="total_gain").items():
            total[int(name.removeprefix("f"))] = float(np.sum(gain))
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
        rounds, patience = MEAN_ROUNDS[small]
        shared: dict[str, Any] = {"enable_categorical": True, "nthread": settings.of_a_tree}
        known = xgb.QuantileDMatrix(frame.features, z, weight=weights, feature_types=_types(frame), **shared)
        watched = xgb.QuantileDMatrix(
            ahead[0].features, ahead[1], feature_types=_types(ahead[0]), ref=known, **shared
        )
        booster = xgb.train(
            {
                "objective": "reg:squarederror",
                "tree_method": "hist",
                "device": "cuda" if settings.gpu else "cpu",
                "learning_rate": 0.1,
                **({"max_depth": SMALL_LEAVES.bit_length() - 1} if small else {}),
                **({"min_child_weight": _CAREFUL_ROWS} if careful else {}),
                "subsample": 0.8,
                "colsample_bytree": 0.6,
                "nthread": settings.of_a_tree,
                "seed": settings.seed,
                "verbosity": 0,
            },
            known,
            rounds,
            evals=[(watched, "ahead")],
            early_stopping_rounds=patience,
            verbose_eval=False,
        )
        files = {_FILE: bytes(booster[: booster.best_iteration + 1].save_raw("ubj"))}
        return files, float(booster.best_score)

    def load_mean(self, files: Mapping[str, bytes]) -> Callable[[Frame], Array]:
        booster = _load(files)

        def predict(frame: Frame) -> Array:
            if not frame.rows:
                return np.empty(0)
            return np.asarray(booster.inplace_predict(frame.matrix), dtype=np.float64)

        return predict


def _load(files: Mapping[str, bytes]) -> xgb.Booster:
    booster = xgb.Booster()
    booster.load_model(bytearray(files[_FILE]))
    return booster


MODEL = XGBoost()
