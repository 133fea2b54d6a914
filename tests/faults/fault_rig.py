"""What the tests of faults share: a study as its own process, a server to kill, a look at both records."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd

from raysearch.errors import StudyError
from raysearch.records import TrialResult
from raysearch.study.reading import LedgerReader
from raysearch.study.storage import open_storage_to_read, storage_errors_told

_STATES = {"finished": "FINISHED", "stopped": "KILLED", "cut": "KILLED", "failed": "FAILED"}


def make_table(place: Path, rows: int = 3000) -> Path:
    """Write a small table with a target ``y``."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(rows, 4)), columns=list("abcd"))
    frame["y"] = frame["a"] + rng.normal(size=rows) * (1 + frame["b"].abs())
    frame.to_csv(place / "t.csv", index=False)
    return place / "t.csv"


def wait_until(holds: Callable[[], bool], what: str, timeout_s: float = 300.0) -> None:
    until = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(0.05)


def free_port() -> int:
    """Return a port of loopback on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Server:
    """A tracking server that can be killed and started again."""

    def __init__(self, place: Path) -> None:
        self._port, self._place = free_port(), place
        self.uri = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self._port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self._place}/server.db"]
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self._process = subprocess.Popen(
            [*command, "--artifacts-destination", f"{self._place}/kept"],
            cwd=self._place,
            env={**os.environ, **quiet},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(self._answers, "the tracking server answers")

    def kill(self) -> None:
        """Kill it with its workers, as a crash would."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError:
            return False
        return True


@dataclass
class Study:
    """A study "s" below a directory, which a command begins or goes on with.

    Attributes:
        uri: of its MLflow store.
        sessions: of all processes that ever ran it.
        ledger: its database; None: a file.
        scheme: with which the home becomes an address, which no other machine's lock is seen at.
    """

    place: Path
    table: Path
    uri: str
    trials: int
    options: tuple[str, ...] = ()
    sessions: list[int] = field(default_factory=list)
    ledger: str | None = None
    scheme: str = ""

    @property
    def home(self) -> Path:
        return self.place / "studies"

    def start(self, before: str = "") -> subprocess.Popen[str]:
        """Begin the study, or go on with it.

        Args:
            before: what Python runs in the process first.
        """
        words = ["resume", "s"]
        if not (self.home / "s" / "study.json").is_file():
            words = ["tune", "--data", str(self.table), "--target", "y", "--study", "s"]
            words += ["--trials", str(self.trials)]
        return self.command(*words, "--tracking-uri", self.uri, *self.options, before=before)

    def command(self, *words: str, before: str = "") -> subprocess.Popen[str]:
        """Run a command on the study's home, with ``--json``, in a session of its own."""
        entry = (
            ["-c", f"{before}\nfrom raysearch.__main__ import main\nmain()"]
            if before
            else ["-m", "raysearch"]
        )
        process = subprocess.Popen(
            [sys.executable, *entry, *words, "--json", "--home", f"{self.scheme}{self.home}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.sessions.append(process.pid)
        return process

    def ended(self) -> list[TrialResult]:
        """Return the trials that have ended, as the ledger knows them."""
        journal = self.home / "s" / "ledger.log"
        storage = open_storage_to_read(journal, self.ledger)
        with storage_errors_told(reading=True):
            name = next((study.study_name for study in storage.get_all_studies()), "") if storage else ""
        return list(LedgerReader(journal, self.ledger, name).results()) if name else []

    def wait_for(self, trials: int, driver: subprocess.Popen[str]) -> None:
        """Wait until so many trials have ended, while the driver runs."""

        def there() -> bool:
            with contextlib.suppress(StudyError):  # the ledger may be busy for a moment
                if len(self.ended()) >= trials:
                    return True
            assert driver.poll() is None, driver.communicate()
            return False

        wait_until(there, f"{trials} trials have ended")

    def check_record(self, status: str) -> None:
        """Each trial of the ledger has exactly one run, in its final state; the study's run is complete."""
        client = mlflow.MlflowClient(tracking_uri=self.uri)
        experiment = client.get_experiment_by_name("raysearch").experiment_id
        (parent,) = client.search_runs([experiment], "tags.`raysearch.role` = 'study'")
        runs = client.search_runs([experiment], "tags.`raysearch.role` = 'trial'")
        if status == "KILLED":  # a trial that ran as its driver was killed has a run, but has not ended
            runs = [run for run in runs if run.data.tags.get("raysearch.interrupted") != "true"]
        by_key = {run.data.tags["raysearch.trial_key"]: run for run in runs}
        results = self.ended()
        assert (len(runs), len(by_key)) == (len(results), len(results))
        for result in results:
            run = by_key[result.key]
            assert run.info.status == _STATES[result.state]
            assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
            if result.state == "finished":
                assert abs(run.data.metrics["valid_pinball_loss_avg"] / result.score - 1) < 1e-9
        assert parent.info.status == status
        if status == "FINISHED":
            assert "test_pinball_loss_avg" in parent.data.metrics
            assert "raysearch.history" in parent.data.tags
            files = {file.path for file in client.list_artifacts(parent.info.run_id)}
            assert {"report.html", "leaderboard.csv", "config.yaml"} <= files
            assert client.search_logged_models([experiment], f"source_run_id = '{parent.info.run_id}'")

    def check_trials(self) -> None:
        """Exactly the trials asked for count, no key and no parameters twice."""
        results = self.ended()
        assert sum(result.counts for result in results) == self.trials
        assert len({result.key for result in results}) == len(results)
        params = [tuple(result.params.items()) for result in results]
        assert len(params) == len(set(params))

    def check_nothing_runs(self) -> None:
        """No process is left of any command."""
        wait_until(lambda: not any(family(one) for one in self.sessions), "all processes have ended")


def family(session: int) -> list[int]:
    """Return the processes of a session that live."""
    return [pid for pid, its, _ in processes() if its == session]


def processes() -> list[tuple[int, int, str]]:
    """Return process, session and command line of all that live here."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session, *_ = stat.read_text().rpartition(")")[2].split()
            line = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if state != "Z":
            found.append((int(stat.parent.name), int(session), line))
    return found
