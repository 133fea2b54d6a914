"""What is sent later, and what is left alone: studies that run, and those without a record."""

from __future__ import annotations

import shutil

import pytest

from raysearch.errors import StudyError
from raysearch.flow import list_studies, sync
from raysearch.flow.status import StatusReader
from raysearch.study.home import Home
from raysearch.study.lease import Lease
from raysearch.tracking import read_outbox


@pytest.mark.slow
def test_studies_are_sent_whole_once_and_those_that_run_are_left_alone(study, table, tmp_path, no_report):
    store = f"sqlite:///{tmp_path}/mlflow.db"
    study(table, tracking__enabled=True, tracking__uri=store)
    assert sync() == []
    assert read_outbox(tmp_path / "studies/s/outbox.json").sent
    other = f"sqlite:///{tmp_path}/other.db"
    with Home("studies").locked("s"):
        assert sync(tracking_uri=other) == []
        with pytest.raises(StudyError, match="is being run by another process"):
            sync("s")
    (done,) = sync("s", tracking_uri=other)
    assert (done.study, done.trials, done.uri, done.left) == ("s", 2, other, ())
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=other)
    runs = client.search_runs(["1"])
    assert sorted(run.data.tags["raysearch.role"] for run in runs) == ["study", "trial", "trial"]
    (parent,) = (run for run in runs if run.data.tags["raysearch.role"] == "study")
    assert parent.info.status == "FINISHED"
    assert "test_pinball_loss_avg" in parent.data.metrics


@pytest.mark.slow
def test_a_study_elsewhere_that_runs_is_not_closed(study, table, tmp_path, no_report):
    """The lock of a home at an address is seen by nobody else: its ledger tells who runs it."""
    import optuna

    home, ledger = tmp_path / "there", f"sqlite:///{tmp_path}/trials.db"
    words = {"tracking__enabled": True, "tracking__uri": f"sqlite:///{tmp_path}/mlflow.db"}
    study(table, study__ledger=ledger, study__home=str(home), **words)
    outbox = read_outbox(home / "s" / "outbox.json")
    unsent = outbox.__class__(outbox.info, outbox.uri, outbox.experiment)
    unsent.write(home / "s" / "outbox.json")
    (name,) = optuna.get_all_study_names(ledger)
    running = optuna.load_study(study_name=name, storage=ledger)
    running.ask().set_user_attr(
        "raysearch", {"key": "k", "model": "lightgbm", "fit_params": {}, "started_s": 0.0}
    )
    with Lease(running, "s"):
        with pytest.raises(StudyError, match="is being run by another process"):
            sync("s", home=f"file://{home}")
        assert not read_outbox(home / "s" / "outbox.json").sent
        (row,) = list_studies(f"file://{home}")
        assert row.state == StatusReader("s", f"file://{home}").read().state == "running"
    status = StatusReader("s", f"file://{home}").read()
    assert (status.state, status.running) == ("ended", ())  # killed: what it ran is left behind
    (done,) = sync("s", home=f"file://{home}")
    assert done.left == ()
    assert read_outbox(home / "s" / "outbox.json").sent


def test_a_study_without_a_record_has_none_to_send(study, table):
    study(table)
    assert sync() == []
    with pytest.raises(StudyError, match="without a record in MLflow"):
        sync("s")


def test_a_file_is_removed_at_the_address_too(tmp_path):
    home = Home(f"file://{tmp_path}/there")
    folder = tmp_path / "there" / "s"
    folder.mkdir(parents=True)
    (folder / "outbox.json").write_text("{}")
    (folder / "study.json").write_text("{}")
    home.remove(home.paths("s").outbox)
    assert [path.name for path in folder.iterdir()] == ["study.json"]
    home.remove(home.paths("s").outbox)  # it need not be there
    shutil.rmtree(folder)
