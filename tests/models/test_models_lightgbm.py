"""LightGBM keeps the contract, and scores as the library itself does."""

from __future__ import annotations

from typing import ClassVar

import lightgbm as lgb
import numpy as np
import pytest
from contracts import LEVELS, ModelContract, make_frame
from sklearn.metrics import mean_pinball_loss

from raysearch.metrics import pinball_loss_avg
from raysearch.models import FitSettings


class TestLightGBM(ModelContract):
    name = "lightgbm"
    small: ClassVar = {"num_leaves": 8, "learning_rate": 0.3}
    sampled: ClassVar = {"num_leaves": 8, "bagging_fraction": 0.6, "bagging_freq": 1, "feature_fraction": 0.5}
    sparse: ClassVar = {"feature_fraction": 0.3, "min_data_in_leaf": 5}
    binned: ClassVar = {"max_bin": 15}
    variants: ClassVar = {
        "dart": {"boosting": "dart", "num_leaves": 8},
        "forest": {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
        "extra": {"extra_trees": True, "num_leaves": 8},
        "leaves": {"min_data_in_leaf": 2, "num_leaves": 40},
        "goss": {"data_sample_strategy": "goss", "learning_rate": 0.5},
        "quantized": {"use_quantized_grad": True, "num_leaves": 8},
        "smooth": {"path_smooth": 5.0, "lambda_l1": 0.1, "lambda_l2": 3.0, "min_gain_to_split": 0.01},
    }

    @pytest.mark.parametrize("name", ["max_bin", "min_data_in_bin", "bin_construct_sample_cnt"])
    def test_what_decides_the_bins_is_in_their_key(self, name):
        assert self.model.bin_key({name: 50}) != self.model.bin_key({})

    def test_each_level_is_a_file(self):
        assert list(self.fit(2).dump()) == ["level_000.txt", "level_001.txt", "level_002.txt"]

    def test_the_score_is_that_of_the_library_itself(self):
        frame, y = make_frame(400, categories=False)
        x = np.column_stack([np.asarray(column) for column in frame.features.columns]).astype(np.float64)
        params = {"num_leaves": 12, "learning_rate": 0.2, "min_data_in_leaf": 5}
        fit = self.fit((7, 25), params, data=(frame.slice(0, 300), y[:300]), watched=frame.slice(300, 400))
        plain = []
        for level in LEVELS:
            more = {"objective": "quantile", "alpha": level, "verbosity": -1, "num_threads": 1, "seed": 0,
                    "deterministic": True, "force_row_wise": True}  # fmt: skip
            booster = lgb.train({**params, **more}, lgb.Dataset(x[:300], y[:300], params=more), 25)
            plain.append(mean_pinball_loss(y[300:], booster.predict(x[300:]), alpha=level))
        got = pinball_loss_avg(y[300:], fit.predict_watched(), LEVELS)
        assert got == pytest.approx(np.mean(plain), abs=1e-6)

    @pytest.mark.parametrize("threads", [1, 2])
    def test_rounds_without_a_split_are_no_trees_of_the_model(self, threads):
        frame, y = make_frame(400)
        params = {"num_leaves": 8, "min_gain_to_split": 0.15, "feature_fraction": 0.3, "learning_rate": 0.3}
        settings = FitSettings(LEVELS, threads=threads)
        binned = self.model.bin(frame, y, params, settings)
        fit = self.model.start(binned, params, settings, frame.slice(0, 80))
        fit.advance(10)
        early = fit.predict_watched()
        fit.advance(40)
        assert any(booster.current_iteration() < 40 for booster in fit._boosters)
        loaded = self.model.load(fit.dump(10), LEVELS)(frame.slice(0, 80))
        np.testing.assert_allclose(loaded, early, rtol=0, atol=1e-6)
