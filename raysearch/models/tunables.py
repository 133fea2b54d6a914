"""The parameters of the libraries by name, without importing them: checking a space must be quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MODEL_NAMES = ("lightgbm", "xgboost")
LOCATION = "location"  # quantiles are learnt around a mean learnt by least squares: of trees, or LINEAR
LINEAR = "linear"
SEEN_ONLY = "seen_only"  # features whose later values are none of the earlier ones are left out
CAT_SMOOTH = "cat_smooth"  # LightGBM's: rows of a node below which it tells no category of any column apart
MANY_CATEGORIES = 30  # of a column, beyond which boosters tend to learn single ones by heart
LEAF_ROWS = ("min_data_in_leaf", "min_child_weight")  # LightGBM's and XGBoost's: rows in a leaf, at least
OWN = (LOCATION, SEEN_ONLY)  # raysearch's own switches, which no library is given


@dataclass(frozen=True)
class Footprint:
    """Bytes that a training takes in memory, measured with tables of 5 to 50 columns, and rounded up.

    Attributes:
        cell: of a binned feature of at most 256 bins; ``wide_cell``: of more.
        row: of a binned row, beside its cells.
        level_row: of a booster that is alive, a row and level.
    """

    cell: float
    wide_cell: float
    row: float
    level_row: float


@dataclass(frozen=True)
class Tunable:
    """What can be tuned in one library.

    Attributes:
        rounds: the name of the parameter that says how many boosting rounds are trained.
        defaults: the library's defaults of everything that may be searched or fixed, and raysearch's own
            switches, all off.
        reserved: parameters that raysearch sets itself, with the setting to use in their place.
        words: the values that a parameter of words can take, or a switch beside true and false.
        unlimited: parameters whose default stands for "no limit", not for a small number.
        binning: parameters that decide how rows are binned.
        levels_apart: each level has a booster of its own, so that they can be trained one after the other.
    """

    library: str
    rounds: str
    defaults: Mapping[str, Any]
    reserved: Mapping[str, str]
    words: Mapping[str, tuple[str, ...]]
    unlimited: frozenset[str]
    binning: tuple[str, ...]
    footprint: Footprint
    levels_apart: bool

    @property
    def known(self) -> frozenset[str]:
        return frozenset(self.defaults)

    def rounds_of(self, params: Mapping[str, Any]) -> int:
        """Return how many boosting rounds ``params`` ask for."""
        return int(params.get(self.rounds, self.defaults[self.rounds]))


_LIGHTGBM = Tunable(
    library="LightGBM",
    rounds="num_boost_round",
    defaults={
        "num_boost_round": 100,
        "num_leaves": 31,
        "learning_rate": 0.1,
        "max_depth": -1,
        "min_data_in_leaf": 20,
        "min_sum_hessian_in_leaf": 1e-3,
        "feature_fraction": 1.0,
        "feature_fraction_bynode": 1.0,
        "bagging_fraction": 1.0,
        "bagging_freq": 0,
        "lambda_l1": 0.0,
        "lambda_l2": 0.0,
        "min_gain_to_split": 0.0,
        "path_smooth": 0.0,
        "extra_trees": False,
        "max_delta_step": 0.0,
        "boosting": "gbdt",
        "data_sample_strategy": "bagging",
        "top_rate": 0.2,
        "other_rate": 0.1,
        "drop_rate": 0.1,
        "max_drop": 50,
        "skip_drop": 0.5,
        "min_data_per_group": 100,
        "max_cat_threshold": 32,
        "cat_l2": 10.0,
        "cat_smooth": 10.0,
        "max_cat_to_onehot": 4,
        "max_bin": 255,
        "min_data_in_bin": 3,
        "bin_construct_sample_cnt": 200000,
        "use_quantized_grad": False,
        "num_grad_quant_bins": 4,
        "quant_train_renew_leaf": False,
        "boost_from_average": True,
        **dict.fromkeys(OWN, False),
    },
    reserved={
        "objective": "quantile, for the levels of --levels",
        "alpha": "the levels of --levels",
        "metric": "pinball loss",
        "num_threads": "--cpus-per-trial",
        "n_jobs": "--cpus-per-trial",
        "seed": "--seed",
        "random_state": "--seed",
        "num_iterations": "num_boost_round",
        "n_estimators": "num_boost_round",
        "early_stopping_round": "--scheduler",
        "verbosity": "--debug",
    },
    words={
        "boosting": ("gbdt", "dart", "rf"),
        "data_sample_strategy": ("bagging", "goss"),
        LOCATION: (LINEAR,),
    },
    unlimited=frozenset({"max_depth"}),
    binning=("max_bin", "min_data_in_bin", "bin_construct_sample_cnt"),
    footprint=Footprint(cell=2, wide_cell=3, row=16, level_row=45),
    levels_apart=True,
)

_XGBOOST = Tunable(
    library="XGBoost",
    rounds="n_estimators",
    defaults={
        "n_estimators": 100,
        "max_depth": 6,
        "max_leaves": 0,
        "learning_rate": 0.3,
        "min_child_weight": 1.0,
        "gamma": 0.0,
        "subsample": 1.0,
        "sampling_method": "uniform",
        "colsample_bytree": 1.0,
        "colsample_bylevel": 1.0,
        "colsample_bynode": 1.0,
        "reg_alpha": 0.0,
        "reg_lambda": 1.0,
        "max_delta_step": 0.0,
        "grow_policy": "depthwise",
        "max_bin": 256,
        "num_parallel_tree": 1,
        "max_cat_to_onehot": 4,
        "max_cat_threshold": 64,
        "multi_strategy": "one_output_per_tree",
        **dict.fromkeys(OWN, False),
    },
    reserved={
        "objective": "reg:quantileerror, for the levels of --levels",
        "quantile_alpha": "the levels of --levels",
        "eval_metric": "pinball loss",
        "tree_method": "hist",
        "device": "--gpus-per-trial",
        "nthread": "--cpus-per-trial",
        "n_jobs": "--cpus-per-trial",
        "seed": "--seed",
        "random_state": "--seed",
        "num_boost_round": "n_estimators",
        "early_stopping_rounds": "--scheduler",
        "eta": "learning_rate",
        "alpha": "reg_alpha",
        "lambda": "reg_lambda",
        "verbosity": "--debug",
    },
    words={
        "sampling_method": ("uniform", "gradient_based"),
        "grow_policy": ("depthwise", "lossguide"),
        "multi_strategy": ("one_output_per_tree", "multi_output_tree"),
        LOCATION: (LINEAR,),
    },
    unlimited=frozenset({"max_leaves"}),
    binning=("max_bin",),
    footprint=Footprint(cell=7, wide_cell=9, row=16, level_row=25),
    levels_apart=False,
)

TUNABLE: Mapping[str, Tunable] = {"lightgbm": _LIGHTGBM, "xgboost": _XGBOOST}


def adds_up(params: Mapping[str, Any]) -> bool:
    """Tell whether the first rounds of a training are a model: later trees are added to them and change none.

    DART changes earlier trees, a random forest averages.
    """
    return bool(params.get("boosting", "gbdt") == "gbdt")
