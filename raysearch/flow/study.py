"""A study that has ended, for the one who ran it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysearch.errors import NoForecasterError, StudyError, resume_command
from raysearch.flow.evaluation_json import evaluation_json, findings_json
from raysearch.records import Ensemble, Evaluation, StudyResult, TrialResult, WarmOutcome

if TYPE_CHECKING:
    import pandas as pd

    from raysearch.forecaster import Forecaster


@dataclass(frozen=True)
class Study:
    """What ``tune`` returns.

    Example:
        study = tune("sales.csv", target="demand", model="lightgbm", trials=50)
        study.best.params
        study.forecaster.predict(df)
    """

    result: StudyResult
    trials: tuple[TrialResult, ...]
    forecaster: Forecaster
    warnings: tuple[str, ...] = ()
    home: str = "studies"

    @property
    def name(self) -> str:
        return self.result.study

    @property
    def best(self) -> TrialResult:
        """The finished trial with the lowest score, or the one picked from the front."""
        return self.result.best

    @property
    def test(self) -> Evaluation:
        """How the forecaster does on rows that nothing looked at (``part`` "valid": none were held out)."""
        return self.result.evaluation

    @property
    def report_path(self) -> str:
        return self.result.report_path

    @property
    def model_path(self) -> str:
        return self.result.model_path

    @cached_property
    def leaderboard(self) -> pd.DataFrame:
        """All trials, best first: number, model, state, score (the first objective), each objective, the
        pinball loss, rounds, seconds and a column a parameter."""
        import pandas as pd

        several = len(self.result.objectives) > 1
        rows = [
            {
                "number": t.number,
                "model": t.model,
                "state": t.state,
                "score": t.score,
                **{f"objectives.{word}": value for word, value in t.objectives.items() if several},
                "valid_pinball_loss_avg": _pinball(t),
                "rounds": t.rounds,
                "seconds": t.seconds,
                **{f"params.{k}": v for k, v in t.params.items()},
            }
            for t in self.trials
        ]
        order = {"finished": 0, "cut": 0, "stopped": 1, "failed": 2}
        table = pd.DataFrame(rows)
        return table.sort_values(
            ["state", "score"], key=lambda c: c.map(order) if c.name == "state" else c
        ).reset_index(drop=True)


def _pinball(trial: TrialResult) -> float | None:
    """Return a trial's pinball loss on the validation rows, whatever it was scored by; None when failed."""
    return trial.metrics.get("valid_pinball_loss_avg", trial.score)


def plain(value: Any) -> Any:
    """Return the value as JSON can hold it: what is not finite becomes None, for NaN is no JSON."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_json(result: StudyResult) -> dict[str, Any]:
    """Return the result as plain values, as ``--json`` prints it and ``result.json`` keeps it.

    ``best.params`` are those that the sampler knows, ``best.fit_params`` what the library was given: they
    differ where an untuned default lies outside the space, and by what the space fixes.
    """
    told = evaluation_json(result.evaluation)
    content = {
        "study": result.study,
        "parent_run_id": result.parent_run_id,
        "tracking_uri": result.tracking_uri,
        "trials": dict(result.trials),
        "best": {
            "number": result.best.number,
            "model": result.best.model,
            "params": dict(result.best.params),
            "fit_params": dict(result.best.fit_params),
            **_scores_json(result.best),
        },
        "default": _scores_json(result.default) if result.default else None,
        "objectives": list(result.objectives),
        "picked": result.picked or None,
        "pareto": [{"number": t.number, "model": t.model, **_scores_json(t)} for t in result.pareto],
        "ensemble": _ensemble_json(result.ensemble) if result.ensemble else None,
        "warm_start": _warm_json(result.warm) if result.warm else None,
        # Without held-out rows there is no test to tell of; the validation's figures have their own name.
        "test": told if result.evaluation.part == "test" else None,
        "valid": told if result.evaluation.part == "valid" else None,
        "modelled": {
            "scale": result.modelled_name,
            "pinball_loss_avg": result.modelled.metrics["pinball_loss_avg"],
            "metrics": dict(result.modelled.metrics),
        }
        if result.modelled
        else None,
        **findings_json(result),
        "model_path": result.model_path,
        "report_path": result.report_path or None,  # none: it could not be written
        "stopped_by": result.stopped_by,
        "profile": dataclasses.asdict(result.profile) if result.profile else None,
        "wall_s": round(result.wall_s, 3),
    }
    return dict(plain(content))


def _ensemble_json(ensemble: Ensemble) -> dict[str, Any]:
    return {**dataclasses.asdict(ensemble), "gain_percent": ensemble.gain_percent}


def _warm_json(warm: WarmOutcome) -> dict[str, Any]:
    return {
        **dataclasses.asdict(warm.start),
        "trials": [trial.number for trial in warm.trials],
        "best": {"number": warm.best.number, **_scores_json(warm.best)} if warm.best else None,
        "other": {"number": warm.other.number, **_scores_json(warm.other)} if warm.other else None,
        "gain_percent": warm.gain_percent,
    }


def _scores_json(trial: TrialResult) -> dict[str, Any]:
    return {
        "valid_pinball_loss_avg": _pinball(trial),
        "score": trial.score,
        "objectives": dict(trial.objectives),
    }


@dataclass(frozen=True)
class StudyRow:
    """One line of the list of studies.

    Attributes:
        state: "done", "running", or "unfinished" (killed or interrupted: ``resume`` goes on with it).
        score: best score (by the first objective); None where no trial has finished.
    """

    name: str
    state: str
    model: str
    target: str
    trials: int
    asked: int | None
    score: float | None
    created_s: float
    path: str


def list_studies(home: str = "studies") -> list[StudyRow]:
    """Return all studies of a home, the newest first."""
    from raysearch.study.home import Home

    place = Home(home)
    rows = [_row(place, name) for name in place.names()]
    return sorted((row for row in rows if row), key=lambda row: -row.created_s)


def _row(place: Any, name: str) -> StudyRow | None:
    from raysearch.study.reading import LedgerReader

    try:
        about = place.read(name)
    except StudyError:
        return None
    paths = place.paths(name)
    runs = place.is_locked(name)
    results: tuple[TrialResult, ...] = ()
    with contextlib.suppress(StudyError):
        ledger = LedgerReader(paths.ledger, about.config["study"]["ledger"], about.ledger_name)
        results, driver = ledger.results(), ledger.driver()
        runs = runs or (driver is not None and driver.seems_to_live)
    scores = [r.score for r in results if r.has_model and r.score is not None]
    asked = about.config["search"]["trials"]
    good = sum(r.counts for r in results)
    states: Counter[str] = Counter(result.state for result in results)
    ended = _is_done(read_result(paths.result), states, asked)
    state = "running" if runs else "done" if ended else "unfinished"
    return StudyRow(
        name=name,
        state=state,
        model=about.config["search"]["model"],
        target=about.config["data"]["target"] or "",
        trials=good,
        asked=asked,
        score=min(scores, default=None),
        created_s=about.created_s,
        path=place.told_path(paths.root),
    )


def _is_done(result: Mapping[str, Any] | None, states: Mapping[str, int], asked: int | None) -> bool:
    """Tell whether the study's last run came to its end; an earlier one's result does not count."""
    if result is None or result.get("stopped_by") == "interrupt":
        return False
    told = result.get("trials", {})
    if any(states.get(state, 0) != told.get(state, 0) for state in ("finished", "stopped", "cut")):
        return False
    good = states.get("finished", 0) + states.get("stopped", 0)
    return result.get("stopped_by") != "trials" or asked is None or good >= asked


def open_study(name: str, home: str = "studies") -> Forecaster:
    """Return the forecaster of a study.

    Raises:
        StudyError: when there is no such study, or it has no model yet.
    """
    from raysearch.forecaster import load_forecaster
    from raysearch.study.home import Home

    place = Home(home)
    place.read(name)
    try:
        return load_forecaster(place.paths(name).model)
    except NoForecasterError:
        again = resume_command(name, place.address)
        raise StudyError(f"study {name!r} has no model yet; `{again}` goes on with it") from None


def read_result(path: Path) -> dict[str, Any] | None:
    """Return ``result.json`` of a study, or None where it has not ended yet."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return content
