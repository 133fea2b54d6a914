"""The project's cluster.yaml starts a real cluster over ssh, on which a study runs; nothing of it stays."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from cluster_rig import Rig, page, wait_for
from cluster_study import Up, bring_up

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def up(rig: Rig, tmp_path_factory: pytest.TempPathFactory) -> Up:
    made = bring_up(rig, tmp_path_factory.mktemp("up"))
    homes = (rig.home, *(rig.state / str(host) / "home" for host in (1, 2, 3)))
    assert {(home / ".ray" / "auth_token").stat().st_mode & 0o777 for home in homes} == {0o600}
    return made


@pytest.fixture
def sales(up: Up) -> None:
    """The table of the page."""
    frame = pd.read_csv(up.table()).rename(columns={"y": "demand"}).head(400)
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
    wait_for(lambda: up.ended("long", home) >= 2, "the study that was sent runs")
    assert "has stopped" in submitted(up, "stop long")
    stopped = json.loads((home / "long" / "result.json").read_text())
    assert stopped["stopped_by"] == "interrupt"
    more = stopped["trials"]["finished"] + stopped["trials"]["stopped"] + 3
    told = submitted(up, "resume long", f"--trials {more}")
    assert f"trials {more}/{more}" in told
    with pytest.raises(AssertionError, match=r"no job at .* runs a study 'long'"):
        submitted(up, "stop long")


def test_a_study_runs_on_all_nodes(up):
    running, seen = up.study("spread", 120), set()

    def everywhere() -> bool:
        assert running.poll() is None, running.communicate()
        seen.update(host for host in (1, 2, 3) if up.workers(host))
        return seen == {1, 2, 3}

    wait_for(everywhere, "each node has run trials")
    up.whole(running, "spread", 120)


def test_a_node_that_dies_costs_no_trial(up):
    running = up.study("killed", 120)
    wait_for(lambda: up.workers(3) > 0, "the third node runs trials")
    up.rig.hosts("kill", "3")
    up.whole(running, "killed", 120)
    up.rig.hosts("up", "3")
    wait_for(lambda: up.nodes() == 3, "Ray is started again on the node that came back")


def test_a_node_that_is_cut_off_costs_no_trial(up):
    running = up.study("cut", 120)
    wait_for(lambda: up.workers(2) > 0, "the second node runs trials")
    up.rig.hosts("cut", "2")
    up.whole(running, "cut", 120)
    up.rig.hosts("heal", "2")
    wait_for(lambda: up.nodes() == 3, "Ray is started again on the node that is reached again")


def test_a_node_that_joins_in_the_middle_gets_trials(up):
    up.rig.hosts("kill", "3")
    wait_for(lambda: up.nodes() == 2, "the third node is missed")
    running = up.study("joined", 100_000)
    wait_for(lambda: up.workers(2) > 0, "the second node runs trials")
    up.rig.hosts("up", "3")

    def joined() -> bool:
        assert running.poll() is None, running.communicate()
        return all(up.workers(host) > 0 for host in (3, 2, 1))

    wait_for(joined, "all three nodes run trials of the study that had begun on two")
    up.rig.on(1, "pkill", "-INT", "-f", "[-]-study joined")
    result = up.outcome(running, "joined", 130)
    assert result["stopped_by"] == "interrupt"
    assert result["trials"]["failed"] == 0


def test_a_study_whose_head_dies_goes_on_on_a_new_cluster(up):
    running = up.study("headless", 120)
    wait_for(lambda: up.ended("headless") >= 8, "trials have ended")
    up.rig.hosts("kill", "1")
    running.communicate(timeout=300)
    before = up.ended("headless")
    up.rig.hosts("up", "1")
    up.type(page()[1])
    wait_for(lambda: up.nodes() == 3, "the new cluster has three nodes")
    assert 8 <= before < 120
    up.whole(up.resume("headless"), "headless", 120)


def test_without_the_token_nobody_gets_in(up):
    ask = "import sys, urllib.request as r; r.urlopen(sys.argv[1], timeout=20)"
    with pytest.raises(AssertionError, match=r"HTTP Error 40[13]"):
        up.rig.on(0, "python", "-c", ask, f"http://{up.rig.address(1)}:8265/api/version")


def test_ray_down_leaves_no_process_on_any_node(up):
    up.type(page()[-1])

    def quiet() -> bool:
        listed = [up.rig.hosts("ps", str(host)) for host in (1, 2, 3)]
        return not any(
            mark in told for told in listed for mark in ("site-packages/ray/", "ray::", "gcs_server")
        )

    wait_for(quiet, "no process of Ray's is left", 120)
