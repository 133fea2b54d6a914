"""XGBoost keeps the contract, and scores as the library itself does."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import xgboost as xgb
from contracts import LEVELS, ModelContract, make_frame
from sklearn.metrics import mean_pinball_loss

from raysearch.metrics import pinball_loss_avg


class TestXGBoost(ModelContract):
    name = "xgboost"
    small: ClassVar = {"max_depth": 3}
    sampled: ClassVar = {"max_depth": 4, "subsample": 0.6, "colsample_bytree": 0.5, "colsample_bynode": 0.7}
    sparse: ClassVar = {"colsample_bytree": 0.3}
    binned: ClassVar = {"max_bin": 8}
    variants: ClassVar = {
        "lossguide": {"grow_policy": "lossguide", "max_leaves": 8, "max_depth": 0},
        "parallel": {"num_parallel_tree": 2, "subsample": 0.7},
        "regular": {"reg_alpha": 1.0, "reg_lambda": 5.0, "gamma": 0.1, "min_child_weight": 3.0},
    }

    def test_all_levels_are_one_file(self):
        assert list(self.fit(2).dump()) == ["model.ubj"]

    def test_trees_of_all_levels_together(self):
        """They take no categories, in XGBoost 3.2."""
        data = make_frame(categories=False)
        fit = self.fit((3, 9), {"multi_strategy": "multi_output_tree"}, data=data)
        loaded = self.model.load(fit.dump(), LEVELS)(data[0].slice(0, 80))
        np.testing.assert_allclose(loaded, fit.predict_watched(), rtol=0, atol=1e-9)
        assert self.model.importance(fit.dump(), 3).sum() > 0

    def test_the_score_is_that_of_the_library_itself(self):
        frame, y = make_frame(400)
        params = {"max_depth": 4, "learning_rate": 0.2, "subsample": 0.8}
        fit = self.fit((7, 25), params, data=(frame.slice(0, 300), y[:300]), watched=frame.slice(300, 400))
        kinds = ["c" if categorical else "q" for categorical in frame.categorical]
        x = np.column_stack([np.asarray(column) for column in frame.features.columns])
        train = xgb.QuantileDMatrix(x[:300], y[:300], feature_types=kinds, enable_categorical=True, nthread=1)
        more = {
            "objective": "reg:quantileerror",
            "quantile_alpha": np.asarray(LEVELS),
            "seed": 0,
            "nthread": 1,
        }
        booster = xgb.train({**params, **more, "tree_method": "hist"}, train, 25)
        rows = xgb.DMatrix(x[300:], feature_types=kinds, enable_categorical=True)
        q = booster.predict(rows)
        plain = [mean_pinball_loss(y[300:], q[:, i], alpha=level) for i, level in enumerate(LEVELS)]
        got = pinball_loss_avg(y[300:], fit.predict_watched(), LEVELS)
        assert got == pytest.approx(np.mean(plain), abs=1e-6)
