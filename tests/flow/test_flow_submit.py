"""What is sent to a cluster: table, settings, and a shell command; what may not be sent is refused."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import ClassVar

import pytest

from raysearch.cli.options import RESUME_FLAGS
from raysearch.cli.submit import words_of
from raysearch.config import load_config
from raysearch.errors import ClusterError, ConfigError, DataError
from raysearch.flow import submit as room
from raysearch.flow.submit import _entrypoint, submit, submit_resume
from raysearch.study.jobs import Jobs, JobState

ADDRESS = "http://10.0.0.11:8265"


class FakeJobs:
    """A head that notes what it is sent."""

    sent: ClassVar[list[tuple[str, str, dict[str, bytes]]]] = []

    def __init__(self, address):
        self.address = address

    def submit(self, study, home, entrypoint, folder):
        files = {str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}
        self.sent.append((study, entrypoint, files))
        return "job-1"


@pytest.fixture
def head(monkeypatch):
    monkeypatch.setattr(room, "Jobs", FakeJobs)
    monkeypatch.setattr(FakeJobs, "sent", [])
    return FakeJobs.sent


def config(**data):
    return load_config(flags={"data": {"target": "1e3", **data}})


def test_a_table_with_an_odd_name_and_all_settings_arrive(tmp_path, monkeypatch, head):
    table = tmp_path / "it's my $HOME table.csv"
    table.write_text("1e3,x\n1,2\n")
    for part in ("a.yaml", "b.yaml"):
        (tmp_path / part).write_text(f"model: {part}")
    monkeypatch.chdir(tmp_path)
    settings = config(path=str(table), drop=["12e4", "yes"]).replace(
        "search", space="a.yaml, b.yaml", model="both"
    )
    sent = submit(settings, ADDRESS, ["--json"])
    ((study, entry, files),) = head
    assert sent.study == study and study.startswith("both-1e3-")
    assert sent.home == "~/raysearch-studies"
    (name,) = (name for name in files if name.startswith("tables/"))
    assert name.endswith("-it's my $HOME table.csv") and files[name] == table.read_bytes()
    (tmp_path / "job.yaml").write_bytes(files["job.yaml"])
    there = load_config(str(tmp_path / "job.yaml"))
    assert there.data.path == f"~/raysearch-studies/{name}"
    assert (there.data.target, list(there.data.drop)) == ("1e3", ["12e4", "yes"])
    assert (there.study.name, there.compute.address) == (study, "auto")
    assert there.search.space == "space-0.yaml,space-1.yaml"
    assert files["space-1.yaml"] == b"model: b.yaml"
    assert entry.endswith("exec python3 -m raysearch tune --config job.yaml --json")


def test_the_shell_keeps_the_table_whole_and_once(tmp_path):
    job, home, bin_ = tmp_path / "job", tmp_path / "home", tmp_path / "bin"
    for folder in (job / "tables", home, bin_):
        folder.mkdir(parents=True)
    (job / "tables" / "a b's.csv").write_text("1")
    (bin_ / "python3").write_text('#!/bin/sh\nprintf "%s|" "$@"\necho "$MLFLOW_TRACKING_URI"\n')
    (bin_ / "python3").chmod(0o755)
    command = _entrypoint(["resume", "--home=~/x y", "--", "-s"], record=True)
    surroundings = {"HOME": str(home), "PATH": f"{bin_}:/usr/bin:/bin"}
    for _ in range(2):
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=job, env=surroundings, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        record = f"sqlite:///{home}/raysearch-studies/mlflow.db"
        assert done.stdout == f"-m|raysearch|resume|--home=~/x y|--|-s|{record}\n"
    kept = home / "raysearch-studies" / "tables"
    assert [(path.name, path.read_text()) for path in kept.iterdir()] == [("a b's.csv", "1")]


def test_resume_takes_its_options_along(head):
    given = {"search": {"trials": 50, "time_budget_s": 1036800.0}, "tracking": {"enabled": False}}
    options, words = words_of(RESUME_FLAGS, given)
    assert words == ["--no-tracking"]
    submit_resume("-s", ADDRESS, "studies", options, words)
    ((study, entry, _),) = head
    assert study == "-s"
    assert entry.endswith(
        "raysearch resume '--home=~/raysearch-studies' --address=auto --trials=50 "
        "--time-budget=1036800.000000s --no-tracking -- -s"
    )


def test_a_table_that_is_given_to_resume_is_sent_too(tmp_path, head):
    (tmp_path / "new table.csv").write_text("1e3,x\n1,2\n")
    submit_resume("s", ADDRESS, "/nfs", [("--trials", "50"), ("--data", str(tmp_path / "new table.csv"))])
    ((_, entry, files),) = head
    (name,) = (name for name in files if name.startswith("tables/"))
    assert files[name] == b"1e3,x\n1,2\n"
    assert f"--trials=50 '--data=~/raysearch-studies/{name}' -- s" in entry
    submit_resume("s", ADDRESS, "/nfs", [("--data", "s3://bucket/t.csv")])
    assert "--data=s3://bucket/t.csv -- s" in head[1][1]


def test_a_table_of_the_heads_own_is_left_where_it_is(head):
    for there in ("/nfs/of/the/head.csv", "file:///nfs/of/the/head.csv"):
        submit_resume("s", ADDRESS, "/nfs", [("--data", there)])
        _, entry, files = head[-1]
        assert f"--data={there} -- s" in entry
        assert not [name for name in files if name.startswith("tables/")]
    with pytest.raises(DataError, match=r"gone\.csv"):
        submit_resume("s", ADDRESS, "/nfs", [("--data", "gone.csv")])


SECRET = "postgresql://me:s3cret@db/trials"


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("--ledger", SECRET, "postgresql://me:***@db/trials holds a secret"),
        ("--data", "s3://key:s3cret@bucket/t.csv", "holds a secret"),
        ("--tracking-uri", "http://me:s3cret@mlflow", "holds a secret"),
        ("--tracking-uri", "sqlite:///mlflow.db", "relative to the job's own directory"),
        ("--ledger", "sqlite:///trials.db", "relative to the job's own directory"),
        ("--address", "10.0.0.1:6379", "leave out --address"),
    ],
)
def test_what_would_be_shown_or_lost_is_refused_by_resume(head, flag, value, told):
    with pytest.raises(ConfigError) as caught:
        submit_resume("s", ADDRESS, "studies", [(flag, value)])
    assert told in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert head == []


def test_what_would_be_shown_or_lost_is_refused_by_tune(tmp_path, head):
    table = tmp_path / "t.csv"
    table.write_text("y,x\n1,2\n")
    settings = config(path=str(table), target="y").replace("study", home="mine", ledger=SECRET)
    with pytest.raises(ConfigError, match=r"2 problems") as caught:
        submit(settings, ADDRESS)
    assert "s3cret" not in str(caught.value) and "mine is relative" in str(caught.value)
    with pytest.raises(ConfigError, match="leave out --address and --engine"):
        submit(config(path=str(table)).replace("compute", engine="inline"), ADDRESS)
    with pytest.raises(DataError, match=r"no-such\.csv"):
        submit(config(path="no-such.csv"), ADDRESS)
    assert head == []


def test_tables_that_are_too_large_together_are_refused(tmp_path, head, monkeypatch):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("y,x\n" + "1,2\n" * 200)
    monkeypatch.setattr(room, "MOST_MB", 0.001)
    with pytest.raises(DataError, match="put it where the head reads it"):
        submit(config(path=str(tmp_path / "a.csv"), test_path=str(tmp_path / "b.csv")), ADDRESS)
    submit(config(path=str(tmp_path / "a.csv")), ADDRESS)


def test_an_address_where_nobody_is_is_told_without_its_password():
    with pytest.raises(ClusterError) as caught:
        Jobs("http://me:s3cret@127.0.0.1:9")
    assert "--submit http://me:***@127.0.0.1:9: " in str(caught.value)
    assert "s3cret" not in str(caught.value)
    with pytest.raises(ClusterError, match="give the dashboard's address"):
        Jobs("10.0.0.11:6379")


def test_lines_are_told_once_though_the_last_has_no_end(monkeypatch):
    logs = iter([(False, "one\ntw"), (False, "one\ntwo\u2028\rx\n"), (True, "one\ntwo\u2028\rx\nend")])

    class Telling:
        def __init__(self, address):
            pass

        def state(self, job):
            ended, self.text = next(logs)
            return JobState("SUCCEEDED" if ended else "RUNNING", None, "")

        def log(self, job):
            return self.text

    monkeypatch.setattr(room, "Jobs", Telling)
    monkeypatch.setattr(room, "_LOOK_EVERY_S", 0.0)
    told: list[str] = []
    room.follow(room.Sent("s", "job-1", ADDRESS, "~"), told.append)
    assert told == ["one", "two\u2028\rx", "end"]
