"""Where a study's files lie. No other module joins a path of a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StudyPaths:
    """All files of one study, below ``root``."""

    root: Path

    @property
    def about(self) -> Path:
        """Identity, settings and data digest of the study: what ``resume`` needs."""
        return self.root / "study.json"

    @property
    def ledger(self) -> Path:
        """The Optuna journal in which every trial is written down."""
        return self.root / "ledger.log"

    @property
    def lock(self) -> Path:
        """Held by the process that runs the study."""
        return self.root / "study.lock"

    @property
    def table(self) -> Path:
        """The table of a study that was handed over as an object."""
        return self.root / "table.arrow"

    @property
    def model(self) -> Path:
        return self.root / "model"

    @property
    def kept(self) -> Path:
        """Models of the best trial and of the defaults while the search goes on."""
        return self.root / "kept"

    @property
    def checkpoints(self) -> Path:
        """How far long trials that run have come."""
        return self.root / "checkpoints"

    @property
    def artifacts(self) -> Path:
        """What is also kept with the parent run: report, plots, leaderboard."""
        return self.root / "report"

    @property
    def report(self) -> Path:
        return self.artifacts / "report.html"

    @property
    def result(self) -> Path:
        return self.root / "result.json"

    @property
    def outbox(self) -> Path:
        """What the record in MLflow must hold beside the trials, and whether it has all."""
        return self.root / "outbox.json"

    @property
    def shards(self) -> Path:
        """The prepared table in parts, one a worker of a trial of several, while the search goes on."""
        return self.root / "shards"

    @property
    def log(self) -> Path:
        """What Ray, Tune, Optuna and MLflow have to say."""
        return self.root / "raysearch.log"
