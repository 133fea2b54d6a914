"""A cluster that `ray up` has started on the hosts, and studies on it."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cluster_rig import Rig, cluster_file, page, wait_for

_NODES = """
import ray
ray.init(address='{}', logging_level=40)
print('alive', sum(node['Alive'] for node in ray.nodes()))
"""


@dataclass(frozen=True)
class Up:
    """A cluster of three nodes, of one core each.

    Attributes:
        file: what it was started with.
        head: the address that a driver is given.
    """

    rig: Rig
    file: Path
    head: str

    def type(self, commands: str) -> str:
        """Run commands on the laptop, where cluster.yaml lies."""
        return self.rig.on(0, "bash", "-euc", commands, place=self.file.parent)

    def nodes(self) -> int:
        """Return how many nodes live, as the head tells it."""
        told = self.rig.on(1, "python", "-c", _NODES.format(self.head), check=False)
        found = re.search(r"^alive (\d+)$", told, re.MULTILINE)  # Ray may have more to say
        return int(found[1]) if found else 0

    def workers(self, host: int) -> int:
        """Return how many trials run on a host: processes have their names."""
        return len(re.findall(r"ray::.*: trial \d", self.rig.hosts("ps", str(host), check=False)))

    def table(self) -> Path:
        """Return a small table that all hosts see."""
        path = self.rig.shared / "shops.csv"
        if not path.is_file():
            rng = np.random.default_rng(0)
            frame = pd.DataFrame({"x": rng.normal(size=600), "shop": rng.integers(0, 3, 600)})
            frame["y"] = frame["x"] + rng.normal(size=600) * (1 + frame["shop"])
            frame.to_csv(path, index=False)
        return path

    def study(self, name: str, trials: int) -> subprocess.Popen[str]:
        """Begin a study on the head, on the whole cluster, with its record in a file that all hosts see."""
        words = ["tune", "--data", str(self.table()), "--target", "y", "--study", name]
        return self._begin(name, *words, "--trials", str(trials))

    def resume(self, name: str) -> subprocess.Popen[str]:
        """Go on with a study on the head."""
        return self._begin(name, "resume", name)

    def _begin(self, name: str, *words: str) -> subprocess.Popen[str]:
        words += ("--home", str(self.rig.shared / "studies"), "--tracking-uri", self.record(name), "--json")
        return self.rig.begin(1, "python", "-m", "raysearch", *words, "--address", self.head)

    def record(self, name: str) -> str:
        return f"sqlite:///{self.rig.shared / name}.db"

    def ended(self, name: str, home: Path | None = None) -> int:
        """Return how many trials of a study have ended."""
        from raysearch.study.reading import LedgerReader
        from raysearch.study.storage import open_storage_to_read

        journal = (home or self.rig.shared / "studies") / name / "ledger.log"
        storage = open_storage_to_read(journal, None)
        found = [study.study_name for study in storage.get_all_studies()] if storage else []
        return len(LedgerReader(journal, None, found[0]).results()) if found else 0

    def outcome(self, running: subprocess.Popen[str], name: str, ends: int = 0) -> dict[str, Any]:
        """Wait for a study's end, by an exit code; return its result, after a look at its runs in MLflow."""
        import mlflow

        said, errors = running.communicate(timeout=300)
        assert running.returncode == ends, errors
        result: dict[str, Any] = json.loads(said)
        client = mlflow.MlflowClient(tracking_uri=self.record(name))
        parent = client.get_run(result["parent_run_id"])
        runs = client.search_runs(
            [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
        )
        assert {run.info.status for run in runs if _interrupted(run)} <= {"KILLED"}
        keys = [run.data.tags["raysearch.trial_key"] for run in runs if not _interrupted(run)]
        assert len(keys) == len(set(keys)) == sum(result["trials"].values())
        assert "RUNNING" not in {run.info.status for run in (parent, *runs)}
        return result

    def whole(self, running: subprocess.Popen[str], name: str, trials: int) -> None:
        """Check that a study ends with exactly the trials asked for, and none failed."""
        told = self.outcome(running, name)["trials"]
        assert told["finished"] + told["stopped"] == trials
        assert told["failed"] == 0


def _interrupted(run: Any) -> bool:
    """Tell whether a trial was given up when its study was, to be run first when that goes on."""
    return run.data.tags.get("raysearch.interrupted") == "true"


def bring_up(rig: Rig, place: Path) -> Up:
    """Start a cluster by the page's commands; return it when all three nodes are there."""
    made = Up(rig, cluster_file(rig, place), f"{rig.address(1)}:6379")
    for block in page()[:2]:
        made.type(block)
    wait_for(lambda: made.nodes() == 3, "three nodes are up")
    return made
