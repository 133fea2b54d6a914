"""Faults of one machine, injected into a study that runs, and how long it takes until trials end again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fault_rig import Server, Study, family, make_table, processes, wait_until

_AWAY_S = 5.0


@dataclass
class Run:
    """A study whose driver is started again whenever a fault has ended it.

    Attributes:
        before: trials that had ended when the fault was over.
    """

    study: Study
    server: Server
    driver: subprocess.Popen[str]
    before: int = 0

    def worker(self) -> None:
        """SIGKILL a worker in the midst of a trial."""
        self._kill("ray::s-", ": trial ")

    def driver_killed(self) -> None:
        """SIGKILL the command; go on with ``resume``."""
        self._end(signal.SIGKILL)

    def driver_terminated(self) -> None:
        """SIGTERM the command, which keeps what it has; go on."""
        self._end(signal.SIGTERM)

    def driver_interrupted(self) -> None:
        """Ctrl-C; go on."""
        self._end(signal.SIGINT)

    def node(self) -> None:
        """SIGKILL the raylet of the study's own Ray, and with it its only node; go on."""
        self._kill("/raylet/raylet ")
        self._again()

    def head(self) -> None:
        """SIGKILL the head's store (GCS); go on."""
        self._kill("/gcs_server ")
        self._again()

    def tracking(self) -> None:
        """Kill the MLflow server; it is back some seconds later."""
        self.server.kill()
        time.sleep(_AWAY_S)
        self.server.start()

    def _end(self, how: signal.Signals) -> None:
        self.driver.send_signal(how)
        self._again()

    def _again(self) -> None:
        try:
            self.driver.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            raise AssertionError("the command has neither gone on nor ended") from None
        self.before = len(self.study.ended())
        self.driver = self.study.start()

    def _kill(self, *marks: str) -> None:
        """Kill a process of the driver's whose command line has some marks, as soon as there is one."""

        def ours(line: str) -> bool:
            return all(mark in line for mark in marks)

        def found() -> list[int]:
            tree = family_tree(self.driver.pid)
            return [pid for pid, _, line in processes() if pid in tree and ours(line)]

        def killed() -> bool:
            pids = found()
            for pid in pids[:1]:
                with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                    os.kill(pid, signal.SIGKILL)
            return bool(pids)

        wait_until(killed, f"a process has {marks}")


def family_tree(root: int) -> set[int]:
    """Return a process with all below it; Ray gives its own sessions to what it starts."""
    below: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        below.setdefault(parent, []).append(int(stat.parent.name))
    found, left = set(), [root]
    while left:
        one = left.pop()
        found.add(one)
        left += below.get(one, [])
    return found


FAULTS: dict[str, Callable[[Run], None]] = {
    "a worker process killed": Run.worker,
    "the command killed, then `resume`": Run.driver_killed,
    "the command ended by SIGTERM, then `resume`": Run.driver_terminated,
    "Ctrl-C, then `resume`": Run.driver_interrupted,
    "the node killed (its raylet), then `resume`": Run.node,
    "the head killed (its GCS), then `resume`": Run.head,
    "the MLflow server killed, back after 5 s": Run.tracking,
}


def run_with_faults(
    place: Path, trials: int, faults: int, seed: int = 0, rows: int = 3000
) -> list[tuple[str, float]]:
    """Run a study during which faults are drawn by chance, each kind at least once; check all that is left.

    Returns:
        Each fault, and the seconds until a trial ended again.
    """
    chance = random.Random(seed)
    drawn = [*FAULTS, *chance.choices(list(FAULTS), k=max(0, faults - len(FAULTS)))][:faults]
    chance.shuffle(drawn)
    server = Server(place)
    server.start()
    study = Study(place, make_table(place, rows), server.uri, trials)
    told = []
    try:
        run = Run(study, server, study.start())
        best = float("inf")
        for turn, name in enumerate(drawn):
            # Enough are left behind the last one: trials go on while this looks.
            study.wait_for((turn + 1) * trials // (faults + 12), run.driver)
            time.sleep(chance.uniform(0.0, 1.0))
            run.before, begun = len(study.ended()), time.monotonic()
            FAULTS[name](run)
            study.wait_for(run.before + 1, run.driver)
            told.append((name, time.monotonic() - begun))
            best = min(best, *(one.score for one in study.ended() if one.state == "finished"))
        _, errors = run.driver.communicate(timeout=300)
        assert run.driver.returncode == 0, errors
        assert "is not complete" not in errors
        study.check_trials()
        study.check_record("FINISHED")
        assert min(one.score for one in study.ended() if one.state == "finished") <= best
        study.check_nothing_runs()
    finally:
        for session in study.sessions:
            for pid in family(session):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        server.kill()
    return told
