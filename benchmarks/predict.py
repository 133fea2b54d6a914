"""Does a forecaster of one model predict as fast as its library does by itself?

A forecaster of a single trial is made by the command line (made-up rows, five levels), once for each library,
with and without a location. Then both sides predict the same rows with the same boosters, in turns:

    raysearch   raysearch.load_forecaster(...).predict(frame): encoded, predicted, calibrated, in order
    library     the saved boosters, loaded by their library, asked for the same DataFrame

    python benchmarks/predict.py [--rows 100000] [--repeats 9] [--rounds 100] [--models lightgbm,xgboost]
        [--out predict.json]

The rows come as numbers alone, with columns of pandas categories, and with the same columns as texts, which
the library's side turns into categories first. Told are the medians of both sides' seconds, the ratio of the
two in one turn, its median and range, and how far apart what they say is.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

import raysearch

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
NUMBERS, TEXTS = 16, 4
TRAINING_ROWS = 20_000
FORMS = ("numbers", "categories", "texts")


def make_rows(rows: int, seed: int, *, texts: bool) -> pd.DataFrame:
    """Return features, most of them numbers, and with ``texts`` some of few and some of many words, and y."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, NUMBERS))
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(NUMBERS)])
    frame["x1"] = (10 * frame["x1"]).round()
    y = x[:, 0] + np.sin(2 * x[:, 1]) * x[:, 2] + rng.normal(size=rows) * (0.5 + np.abs(x[:, 3]))
    for i in range(TEXTS if texts else 0):
        words = np.array([f"word {k} of {i}" for k in range(5 * 4**i)])
        codes = rng.integers(0, len(words), rows)
        frame[f"t{i}"] = words[codes]
        y += np.sin(codes) / (1 + i)
    frame.loc[rng.random(rows) < 0.1, "x5"] = np.nan
    return frame.assign(y=y)


def train(model: str, place: Path, rounds: int, *, texts: bool, location: bool) -> Path:
    """Make a forecaster of one trial, refitted on all rows; return its directory."""
    import yaml

    name = "n_estimators" if model == "xgboost" else "num_boost_round"
    space = {
        "model": model,
        "parameters": {"learning_rate": {"type": "float", "low": 0.05, "high": 0.1}},
        "fixed": {name: rounds, "location": location},
    }
    study = f"{model}-{'texts' if texts else 'numbers'}-{'located' if location else 'plain'}"
    (place / "space.yaml").write_text(yaml.safe_dump(space))
    make_rows(TRAINING_ROWS, 0, texts=texts).to_parquet(place / "rows.parquet", index=False)
    command = [sys.executable, "-m", "raysearch", "tune", "--no-tracking", "--engine", "inline"]
    command += [
        "--data",
        str(place / "rows.parquet"),
        "--target",
        "y",
        "--home",
        str(place),
        "--study",
        study,
    ]
    command += ["--levels", ",".join(map(str, LEVELS)), "--space", str(place / "space.yaml"), "--trials", "1"]
    command += ["--model", model, "--ensemble", "1", "--cv", "1", "--test-size", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return place / study / "model"


def boosters_of(model: Path) -> tuple[str, list[Path], list[Path]]:
    """Return the library of the only member, and the files of its quantiles and of its location."""
    (member,) = json.loads((model / "forecaster.json").read_text())["members"]
    files = sorted((model / "members" / "000").iterdir())
    means = [file for file in files if file.name.startswith("location")]
    return member["model"], [file for file in files if file not in means], means


def categories_of(model: Path) -> dict[str, list[str]]:
    """Return the words of each column of texts, in the order of their codes."""
    columns = json.loads((model / "forecaster.json").read_text())["encoder"]["columns"]
    return {c["column"]: c["categories"] for c in columns if c["kind"] == "category"}


def lightgbm_alone(files: list[Path], words: dict[str, list[str]]) -> Callable[[pd.DataFrame], np.ndarray]:
    """Return LightGBM's own prediction of a DataFrame, [rows, boosters]."""
    import lightgbm as lgb

    boosters = [lgb.Booster(model_file=file) for file in files]
    for booster in boosters:
        booster.pandas_categorical = list(words.values())  # as if it had learnt from a DataFrame
    return lambda frame: np.column_stack([booster.predict(frame) for booster in boosters])


def xgboost_alone(files: list[Path], words: dict[str, list[str]]) -> Callable[[pd.DataFrame], np.ndarray]:
    """Return XGBoost's own prediction of a DataFrame, [rows, levels or boosters]."""
    import xgboost as xgb

    boosters = [xgb.Booster(model_file=file) for file in files]

    def predict(frame: pd.DataFrame) -> np.ndarray:
        rows = xgb.DMatrix(frame, enable_categorical=True)
        return np.column_stack([booster.predict(rows) for booster in boosters])

    return predict


def library(model: Path) -> Callable[[pd.DataFrame], np.ndarray]:
    """Return what the library says of a DataFrame, [rows, levels], with what little it must be helped."""
    name, quantiles, means = boosters_of(model)
    words = categories_of(model)
    load = {"lightgbm": lightgbm_alone, "xgboost": xgboost_alone}[name]
    own = load(quantiles, words)
    mean = load(means, words) if means else None

    def predict(frame: pd.DataFrame) -> np.ndarray:
        texts = [column for column in words if not isinstance(frame[column].dtype, pd.CategoricalDtype)]
        frame = frame.assign(**{c: pd.Categorical(frame[c], categories=words[c]) for c in texts})
        frame.columns = [f"f{i}" for i in range(frame.shape[1])]
        if mean is None:
            return own(frame)
        said = mean(frame).mean(axis=1)
        return own(frame.assign(**{f"f{frame.shape[1]}": said})) + said[:, None]

    return predict


def compare(model: Path, frame: pd.DataFrame, repeats: int) -> dict:
    """Return both sides' seconds, turn by turn, and how far apart what they say is."""
    forecaster, alone = raysearch.load_forecaster(model), library(model)
    sides = {"raysearch": forecaster.predict, "library": alone}
    ours, raw = forecaster.predict(frame).to_numpy(), alone(frame)  # also warms both up
    apart = float(np.abs(ours - forecaster.finish(raw, None)).max())
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for turn in range(repeats):
        for side in sorted(sides, reverse=turn % 2 == 1):
            started = time.perf_counter()
            sides[side](frame)
            seconds[side].append(time.perf_counter() - started)
    return {**seconds, "apart": apart}


def line(model: str, located: bool, form: str, found: dict) -> str:
    ratios = [a / b for a, b in zip(found["raysearch"], found["library"], strict=True)]
    cells = [model, "yes" if located else "no", form]
    cells += [f"{1000 * statistics.median(found[side]):.0f}" for side in ("raysearch", "library")]
    cells += [
        f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})",
        f"{found['apart']:.1g}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--rounds", type=int, default=100, help="of the boosters, at most")
    parser.add_argument("--models", default="lightgbm,xgboost")
    parser.add_argument("--out", type=Path, default=Path("predict.json"))
    options = parser.parse_args()
    print("| library | location | rows with | raysearch, ms | library, ms | raysearch / library | apart |")
    print("|" + "---|" * 7, flush=True)
    results = []
    for model in options.models.split(","):
        for located in (False, True):
            with tempfile.TemporaryDirectory(prefix="predict-", ignore_cleanup_errors=True) as place:
                made = {
                    texts: train(model, Path(place), options.rounds, texts=texts, location=located)
                    for texts in (False, True)
                }
                for form in FORMS:
                    path = made[form != "numbers"]
                    frame = make_rows(options.rows, 1, texts=form != "numbers").drop(columns="y")
                    if form == "categories":
                        words = categories_of(path)
                        frame = frame.assign(**{c: pd.Categorical(frame[c], w) for c, w in words.items()})
                    found = compare(path, frame, options.repeats)
                    results.append({"model": model, "location": located, "form": form, **found})
                    options.out.write_text(json.dumps(results, indent=1))
                    print(line(model, located, form, found), flush=True)


if __name__ == "__main__":
    main()
