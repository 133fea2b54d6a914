"""The project's cluster.yaml starts a real cluster over ssh, on which a study runs; nothing of it stays."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cluster_rig import Rig, cluster_file, page, wait_for

pytestmark = pytest.mark.slow
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


@pytest.fixture(scope="module")
def up(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    place = tmp_path_factory.mktemp("up")
    made = Up(rig, cluster_file(rig, place), f"{rig.address(1)}:6379")
    for block in page()[:2]:
        made.type(block)
    wait_for(lambda: made.nodes() == 3, "three nodes are up", 120)
    homes = (rig.home, *(rig.state / str(host) / "home" for host in (1, 2, 3)))
    assert {(home / ".ray" / "auth_token").stat().st_mode & 0o777 for home in homes} == {0o600}
    return made


@pytest.fixture(scope="module")
def table(rig: Rig) -> Path:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=600), "shop": rng.integers(0, 3, 600)})
    frame["y"] = frame["x"] + rng.normal(size=600) * (1 + frame["shop"])
    path = rig.shared / "shops.csv"
    frame.to_csv(path, index=False)
    return path


def study(up: Up, table: Path, name: str, trials: int) -> subprocess.Popen[str]:
    """Begin a study on the head, on the whole cluster, with its record in a file that all hosts see."""
    command = ["python", "-m", "raysearch", "tune", "--data", str(table), "--target", "y", "--json"]
    command += ["--study", name, "--trials", str(trials), "--home", str(up.rig.shared / "studies")]
    record = f"sqlite:///{up.rig.shared / name}.db"
    return up.rig.begin(1, *command, "--address", up.head, "--tracking-uri", record)


def workers(up: Up, host: int) -> int:
    """Return how many trials run on a host: processes have their names."""
    return len(re.findall(r"ray::.*: trial \d", up.rig.hosts("ps", str(host), check=False)))


def outcome(up: Up, running: subprocess.Popen[str], name: str, ends: int = 0) -> dict[str, Any]:
    """Wait for a study's end, by an exit code; return its result, after a look at its runs in MLflow."""
    import mlflow

    said, errors = running.communicate(timeout=300)
    assert running.returncode == ends, errors
    result = json.loads(said)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{up.rig.shared / name}.db")
    parent = client.get_run(result["parent_run_id"])
    runs = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    )
    assert {run.info.status for run in runs if _interrupted(run)} <= {"KILLED"}
    keys = [run.data.tags["raysearch.trial_key"] for run in runs if not _interrupted(run)]
    assert len(keys) == len(set(keys)) == sum(result["trials"].values())
    assert "RUNNING" not in {run.info.status for run in (parent, *runs)}
    return result


def _interrupted(run: Any) -> bool:
    """Tell whether a trial was given up when its study was, to be run first when that goes on."""
    return run.data.tags.get("raysearch.interrupted") == "true"


@pytest.fixture
def sales(up: Up, table: Path) -> None:
    """The table of the page."""
    frame = pd.read_csv(table).rename(columns={"y": "demand"}).head(400)
    frame.to_csv(up.file.parent / "sales.csv", index=False)


@pytest.mark.usefixtures("sales")
def test_the_page_s_commands_run_a_study(up):
    told = up.type(page()[2].replace("--home ~/studies", "--home ~/studies --trials 4 --study page"))
    assert "trials 4/4" in told and "coverage of the intervals" in told
    assert (up.rig.state / "1" / "home" / "studies" / "page" / "result.json").is_file()


def submitted(up: Up, words: str, more: str = "") -> str:
    """Type the page's command to tune, stop or resume a study by its name, with some words more."""
    verb, _, name = words.partition(" ")
    command = next(line for line in page()[3].splitlines() if f" {verb} " in line)
    named = command.replace("HEAD", up.rig.address(1)).replace("my-study", name or "my-study")
    return up.type(f"{named} {more}")


@pytest.mark.usefixtures("sales")
def test_a_study_is_sent_followed_stopped_and_gone_on_with(up):
    home = up.rig.state / "1" / "home" / "raysearch-studies"
    told = submitted(up, "tune", "--trials 4")
    assert "trials 4/4" in told and "coverage of the intervals" in told
    assert "my-study" in told
    result = json.loads((home / "my-study" / "result.json").read_text())
    assert result["trials"]["finished"] + result["trials"]["stopped"] == 4
    assert (home / "mlflow.db").is_file()

    left = json.loads(submitted(up, "tune long", "--trials 100000 --detach --json"))
    assert left["study"] == "long"
    with pytest.raises(AssertionError, match="is being run by a job"):
        submitted(up, "tune long", "--detach")
    wait_for(lambda: workers(up, 1) + workers(up, 2) + workers(up, 3) > 0, "the study that was sent runs")
    time.sleep(5)
    assert "has stopped" in submitted(up, "stop long")
    stopped = json.loads((home / "long" / "result.json").read_text())
    assert stopped["stopped_by"] == "interrupt"
    more = stopped["trials"]["finished"] + stopped["trials"]["stopped"] + 3
    told = submitted(up, "resume long", f"--trials {more}")
    assert f"trials {more}/{more}" in told
    with pytest.raises(AssertionError, match=r"no job at .* runs a study 'long'"):
        submitted(up, "stop long")


def test_a_study_runs_on_all_nodes(up, table):
    running, seen = study(up, table, "spread", 30), set()

    def everywhere() -> bool:
        assert running.poll() is None, running.communicate()
        seen.update(host for host in (1, 2, 3) if workers(up, host))
        return seen == {1, 2, 3}

    wait_for(everywhere, "each node has run trials")
    trials = outcome(up, running, "spread")["trials"]
    assert trials["finished"] + trials["stopped"] == 30
    assert trials["failed"] == 0


def test_a_node_that_dies_costs_no_trial(up, table):
    running = study(up, table, "killed", 45)
    wait_for(lambda: workers(up, 3) > 0, "the third node runs trials")
    up.rig.hosts("kill", "3")
    trials = outcome(up, running, "killed")["trials"]
    assert trials["finished"] + trials["stopped"] == 45
    assert trials["failed"] == 0
    up.rig.hosts("up", "3")
    wait_for(lambda: up.nodes() == 3, "Ray is started again on the node that came back")


def test_a_node_that_is_cut_off_costs_no_trial(up, table):
    running = study(up, table, "cut", 45)
    wait_for(lambda: workers(up, 2) > 0, "the second node runs trials")
    up.rig.hosts("cut", "2")
    trials = outcome(up, running, "cut")["trials"]
    assert trials["finished"] + trials["stopped"] == 45
    assert trials["failed"] == 0
    up.rig.hosts("heal", "2")
    wait_for(lambda: up.nodes() == 3, "Ray is started again on the node that is reached again")


def test_a_node_that_joins_in_the_middle_gets_trials(up, table):
    up.rig.hosts("kill", "3")
    wait_for(lambda: up.nodes() == 2, "the third node is missed")
    running = study(up, table, "joined", 100_000)
    wait_for(lambda: workers(up, 2) > 0, "the second node runs trials")
    up.rig.hosts("up", "3")

    def joined() -> bool:
        assert running.poll() is None, running.communicate()
        return all(workers(up, host) > 0 for host in (3, 2, 1))

    wait_for(joined, "all three nodes run trials of the study that had begun on two")
    up.rig.on(1, "pkill", "-INT", "-f", "[-]-study joined")
    result = outcome(up, running, "joined", 130)
    assert result["stopped_by"] == "interrupt"
    assert result["trials"]["failed"] == 0


def test_without_the_token_nobody_gets_in(up):
    ask = "import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=20)"
    with pytest.raises(AssertionError, match=r"HTTP Error 40[13]"):
        up.rig.on(0, "python", "-c", ask, f"http://{up.rig.address(1)}:8265/api/version")


def test_ray_down_leaves_no_process_on_any_node(up):
    up.type(page()[-1])
    begun = time.monotonic()

    def quiet() -> bool:
        listed = [up.rig.hosts("ps", str(host)) for host in (1, 2, 3)]
        return not any(
            mark in told for told in listed for mark in ("site-packages/ray/", "ray::", "gcs_server")
        )

    wait_for(quiet, "no process of Ray's is left", 120)
    assert time.monotonic() - begun < 120
