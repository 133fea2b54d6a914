"""The options that several commands share: one table, from flag to setting."""

from __future__ import annotations

import re
from dataclasses import replace

from raysearch.cli.flags import Flag
from raysearch.cli.options_place import PLACE_FLAGS, RECORD_FLAGS, STUDY_FLAGS
from raysearch.cli.parse import parse_duration, parse_levels, parse_monotone, parse_steps, split_names


def _as_before(flag: Flag) -> Flag:
    """Return the option of a command that goes on: what is not given stays as the study was asked."""
    return replace(flag, text=re.sub(r" \((default\b.*|asha)\)$", " (default: as before)", flag.text))


_TABLE, _SEARCH = "The table", "The search"

DATA_FLAGS = (
    Flag(
        "--data",
        "data.path",
        str,
        "Table: .csv, .csv.gz, .parquet, .feather, .arrow or .xlsx, also at s3://",
        _TABLE,
    ),
    Flag("--target", "data.target", str, "Column to forecast", _TABLE),
    Flag("--group", "data.group", str, "Column by which results are also told (stays a feature)", _TABLE),
    Flag("--time", "data.time", str, "Column that orders the rows in time", _TABLE),
    Flag(
        "--split", "split.by", str, "random, time or group (default: time with --time, else random)", _TABLE
    ),
    Flag(
        "--test-size",
        "split.test_size",
        float,
        "Share of rows kept for the test; 0: none (default 0.2)",
        _TABLE,
    ),
    Flag(
        "--valid-size",
        "split.valid_size",
        float,
        "Share of the others that trials are scored on (0.2)",
        _TABLE,
    ),
    Flag(
        "--cv",
        "split.cv",
        int,
        "Folds that take turns in validation; 1: a single part (default: 5, 3 or 1 by size)",
        _TABLE,
    ),
    Flag("--purge", "split.purge", int, "Time steps left out before validation and test (default 0)", _TABLE),
    Flag(
        "--window",
        "split.window",
        str,
        "Rows that folds in time learn from: expanding (all before them), sliding, a number of time steps "
        "before, or both (before and behind) (default expanding)",
        _TABLE,
    ),
    Flag(
        "--embargo",
        "split.embargo",
        int,
        "With --window both: time steps left out behind a fold, beyond the purge (default 0)",
        _TABLE,
    ),
    Flag("--test", "data.test_path", str, "Test rows from a file of their own", _TABLE),
    Flag(
        "--drop",
        "data.drop",
        list[str],
        "Columns to leave out; repeat or separate by commas ('\"a, b\",c': quotes keep one)",
        _TABLE,
        split_names,
    ),
    Flag("--features", "data.features", list[str], "Learn from these columns only", _TABLE, split_names),
    Flag(
        "--transform",
        "data.transform",
        str,
        "Model none, log, log1p, asinh or change of the target (none; of series change)",
        _TABLE,
    ),
    Flag("--anchor", "data.anchor", str, "With --transform log or change: the column to start from", _TABLE),
    Flag(
        "--horizon", "data.horizon", int, "Series: forecast 1 to so many steps ahead, from the past", _TABLE
    ),
    Flag(
        "--lags",
        "data.lags",
        str,
        "Values so many steps before, e.g. 1,7,28 (by the frequency)",
        _TABLE,
        parse_steps,
    ),
    Flag(
        "--windows",
        "data.windows",
        str,
        "Statistics of the newest so many steps, e.g. 7,28 (by the frequency)",
        _TABLE,
        parse_steps,
    ),
    Flag(
        "--frequency", "data.frequency", str, "One step: 15min, h, D, B, W, MS, ... (found in times)", _TABLE
    ),
    Flag(
        "--past",
        "data.past",
        list[str],
        "Columns known only afterwards, as the target is",
        _TABLE,
        split_names,
    ),
    Flag(
        "--monotone",
        "data.monotone",
        list[str],
        "Columns that forecasts must rise or fall with, e.g. price=-1,size=+1",
        _TABLE,
        parse_monotone,
    ),
    Flag("--weight", "data.weight", str, "Column of row weights", _TABLE),
    Flag("--lower", "data.lower", float, "Forecasts stay at or above this number", _TABLE),
    Flag("--upper", "data.upper", float, "Forecasts stay at or below this number", _TABLE),
    Flag("--strict", "data.strict", bool, "Refuse signs of leakage instead of telling them", _TABLE),
    Flag(
        "--levels",
        "search.levels",
        str,
        "Quantile levels (default 0.05,0.25,0.5,0.75,0.95)",
        _TABLE,
        parse_levels,
    ),
)
SEARCH_FLAGS = (
    Flag("--model", "search.model", str, "lightgbm, xgboost, or both (default lightgbm)", _SEARCH),
    Flag("--space", "search.space", str, "Search space: a YAML file, a shipped one, or 'wide'", _SEARCH),
    Flag(
        "--seed",
        "search.seed",
        int,
        "Same seed, same bits, where one trial runs at a time (default 0)",
        _SEARCH,
    ),
    Flag(
        "--calibrate",
        "search.calibrate",
        str,
        "Shift quantiles to cover what they claim: auto, marginal, steady, width, group, time or none (auto)",
        _SEARCH,
    ),
    Flag(
        "--objective",
        "search.objective",
        str,
        "pinball, wis, crps, interval_90, width_90, coverage_gap; 'pinball+0.5*coverage_gap': a point of gap "
        "costs 0.5 % of the loss; with commas: a Pareto front (default pinball)",
        _SEARCH,
    ),
)
PICK_FLAG = Flag(
    "--pick",
    "search.pick",
    str,
    "Of several objectives' front: knee, an objective, 'coverage_gap<=0.02' or a trial (default knee)",
    _SEARCH,
)
WARM_FLAG = Flag(
    "--warm-start",
    "search.warm_start",
    str,
    "Begin with the best points of earlier studies on data like this: auto or off (default off)",
    _SEARCH,
)
ENSEMBLE_FLAGS = (
    Flag(
        "--ensemble",
        "search.ensemble",
        int,
        "Trials that may be the model together; 1: the best alone (default 8)",
        _SEARCH,
    ),
    Flag(
        "--max-predict-ms",
        "search.max_predict_ms",
        float,
        "Milliseconds in which the model must predict 1,000 rows",
        _SEARCH,
    ),
)
BUDGET_FLAGS = (
    Flag(
        "--trials", "search.trials", int, "Trials that must finish or be stopped early (default 30)", _SEARCH
    ),
    Flag(
        "--time-budget",
        "search.time_budget_s",
        str,
        "Time for the whole command, e.g. 10m",
        _SEARCH,
        parse_duration,
    ),
    Flag("--patience", "search.patience", int, "End after so many trials without gain", _SEARCH),
    Flag("--sampler", "search.sampler", str, "What proposes trials: tpe or random (tpe)", _SEARCH),
    Flag(
        "--scheduler",
        "search.scheduler",
        str,
        "Stop trailing trials early: asha, median or none (asha)",
        _SEARCH,
    ),
)
TUNE_FLAGS = (
    *DATA_FLAGS,
    *SEARCH_FLAGS,
    *ENSEMBLE_FLAGS,
    *BUDGET_FLAGS,
    WARM_FLAG,
    PICK_FLAG,
    *PLACE_FLAGS,
    *STUDY_FLAGS,
    *RECORD_FLAGS,
)
# Studies keep no secrets: what was taken out of these addresses is given again.
_AGAIN = {
    "data.path": "The same table, where its address holds a secret",
    "data.test_path": "The same test rows",
    "study.ledger": "The same database, where its address holds a password (or RAYSEARCH_LEDGER)",
}
AGAIN_FLAGS = tuple(
    replace(flag, text=_AGAIN[flag.setting]) for flag in (*DATA_FLAGS, *STUDY_FLAGS) if flag.setting in _AGAIN
)
RESUME_FLAGS = (
    *(_as_before(flag) for flag in (*BUDGET_FLAGS, PICK_FLAG, *PLACE_FLAGS, *RECORD_FLAGS)),
    *AGAIN_FLAGS,
)
