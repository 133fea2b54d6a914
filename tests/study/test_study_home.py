"""Where studies live: made once, found again, held by one process, and never outside their home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysearch.config import StudyConfig
from raysearch.errors import RaysearchError, StudyError
from raysearch.flow.opening import open_checkpoints
from raysearch.study.home import Home
from raysearch.study.paths import StudyPaths

ABOUT = {
    "version": "0",
    "digest": "d",
    "in_memory": False,
    "config": {"search": {"trials": 3}},
    "spaces": [{"model": "lightgbm"}],
}

HOLD = """
import sys
from raysearch.study.home import Home
with Home(sys.argv[1]).locked("a"):
    print("held", flush=True)
    sys.stdin.read()
"""


def asked(home, name=None):
    return StudyConfig(name=name, home=str(home), ledger=None)


def create(home, name=None, fallback="lightgbm-y"):
    place = Home(str(home))
    return place, place.create(asked(home, name), ABOUT, fallback)


def test_a_study_is_made_read_and_listed(tmp_path):
    place, about = create(tmp_path / "deep" / "home", "a")
    assert place.names() == ["a"]
    assert place.read("a") == about
    assert about.ledger_name == f"a-{about.id[:8]}"
    assert place.paths("a").artifacts.is_dir()
    assert place.told_path(place.paths("a").report) == str(tmp_path / "deep/home/a/report/report.html")
    changed = replace(about, config={"search": {"trials": 9}})
    place.update(changed)
    assert Home(str(tmp_path / "deep/home")).read("a") == changed
    place.discard("a")
    assert place.names() == []
    place.discard("a")


def test_a_name_is_made_up_readable_and_free(tmp_path):
    names = [create(tmp_path, None, "both-verspätung in °C/s")[1].name for _ in range(3)]
    assert len(set(names)) == 3
    assert all(name.startswith("both-verspätung-in--C-s-") for name in names)
    assert create(tmp_path, None, "../..")[1].name.startswith("study-")
    assert create(tmp_path, None, "é" * 90)[1].name
    assert Home(str(tmp_path)).names() == sorted([p.name for p in tmp_path.iterdir()])


def test_a_name_that_is_taken_is_refused_with_the_way_to_go_on(tmp_path):
    create(tmp_path, "a")
    with pytest.raises(StudyError, match=r"'a' is there already.*resume a"):
        create(tmp_path, "a")


def test_a_directory_of_another_kind_is_left_alone(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "precious.txt").write_text("mine")
    with pytest.raises(StudyError, match="docs is there already and is no study"):
        create(tmp_path, "docs")
    assert [path.name for path in (tmp_path / "docs").iterdir()] == ["precious.txt"]
    (tmp_path / "empty").mkdir()
    create(tmp_path, "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match="file is there already"):
        create(tmp_path, "file")


def test_of_many_that_want_one_name_one_gets_it(tmp_path):
    def want(_):
        try:
            return create(tmp_path, "a")[1].id
        except StudyError:
            return None

    with ThreadPoolExecutor(8) as pool:
        made = [found for found in pool.map(want, range(16)) if found]
    assert len(made) == 1
    assert Home(str(tmp_path)).read("a").id == made[0]


def test_a_home_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nothing")):
        with pytest.raises(StudyError, match=r"--home .*cannot be written"):
            create(home, "a")


@pytest.mark.parametrize(
    "name", ["..", ".", "", "../x", "a/b", "/etc", "-x", ".hidden", "a\\b", "a\0b", "x" * 101]
)
def test_a_name_that_would_leave_the_home_is_refused(tmp_path, name):
    home = Home(str(tmp_path))
    for act in (home.paths, home.read):
        with pytest.raises(StudyError):
            act(name)
    assert list(tmp_path.iterdir()) == []


@given(st.text(min_size=1, max_size=120))
def test_no_name_leads_out_of_the_home(name):
    try:
        root = Home("studies").paths(name).root
    except StudyError:
        return
    assert root.resolve().parent == Path("studies").resolve()


@given(st.text(max_size=120))
def test_every_made_up_name_is_a_name(fallback):
    from raysearch.study.home import free_name

    Home("studies").paths(free_name(fallback, set()))


def test_a_study_that_is_not_there_is_told_with_the_nearest(tmp_path):
    with pytest.raises(StudyError, match="there are none"):
        Home(str(tmp_path / "nowhere")).read("a")
    create(tmp_path, "flights")
    with pytest.raises(StudyError, match="did you mean 'flights'"):
        Home(str(tmp_path)).read("flight")


@pytest.mark.parametrize("content", [b"", b"{", b'{"id": 1}', b"[]", b"\xff\xfe", b"null"])
def test_a_damaged_study_is_told(tmp_path, content):
    place, _ = create(tmp_path, "a")
    place.paths("a").about.write_bytes(content)
    with pytest.raises(StudyError, match="damaged"):
        place.read("a")


def test_a_study_is_held_by_one_process(tmp_path):
    place, _ = create(tmp_path, "a")
    assert not place.is_locked("a")
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert place.is_locked("a")
        with pytest.raises(StudyError, match="another process"), place.locked("a"):
            pass
        holder.kill()  # a killed process holds nothing
    assert not place.is_locked("a")
    with place.locked("a") as paths:
        assert paths == StudyPaths(tmp_path / "a")
        with pytest.raises(StudyError, match="another process"), Home(str(tmp_path)).locked("a"):
            pass
    assert not place.is_locked("b")


def test_a_look_at_the_lock_keeps_nobody_out(tmp_path):
    import fcntl
    import threading

    place, _ = create(tmp_path, "a")
    with place.locked("a"):
        pass
    with place.paths("a").lock.open("r") as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        threading.Timer(0.05, lambda: fcntl.flock(look, fcntl.LOCK_UN)).start()
        with place.locked("a"):
            pass


def test_the_home_of_the_user_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    create("~/studies", "a")
    assert (tmp_path / "studies" / "a" / "study.json").is_file()


def test_keys_in_an_address_are_not_told():
    place = Home("s3://KEY:SECRET@bucket/home?endpoint_override=host&token=T0KEN")
    told = [place.address, place.told_path(place.paths("a").report)]
    query = "?endpoint_override=host&token=***"
    assert told == [
        f"s3://KEY:***@bucket/home{query}",
        f"s3://KEY:***@bucket/home/a/report/report.html{query}",
    ]
    with pytest.raises(StudyError, match=r"\*\*\* stands where a secret was"):
        Home(place.address).names()


@pytest.fixture(scope="module")
def bucket():
    """Give a bucket of a local S3."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        import boto3

        boto3.client("s3").create_bucket(Bucket="studies")
        yield "s3://studies/team/home"
    server.stop()


@pytest.mark.slow
def test_a_home_at_an_address_is_pushed_pulled_and_listed(bucket):
    here = Home(bucket)
    assert here.names() == []
    about = here.create(asked(bucket, "a"), ABOUT, "x")
    paths = here.paths("a")
    (paths.model / "deep").mkdir(parents=True)
    (paths.model / "deep" / "level.txt").write_text("booster")
    here.push("a")
    assert here.told_path(paths.model) == f"{bucket}/a/model"

    there = Home(bucket)  # another machine
    assert there.names() == ["a"]
    assert there.read("a") == about
    assert there.paths("a").root != paths.root
    assert (there.paths("a").model / "deep" / "level.txt").read_text() == "booster"
    with pytest.raises(StudyError, match="is there already"):
        there.create(asked(bucket, "a"), ABOUT, "x")
    with pytest.raises(StudyError, match="known: 'a', 'a1'"):
        there.create(asked(bucket, "a1"), ABOUT, "x")
        there.read("a2")
    there.update(replace(about, config={"search": {"trials": 9}}))
    there.push("a")
    assert Home(bucket).read("a").config == {"search": {"trials": 9}}
    there.discard("a")
    there.discard("a1")
    assert Home(bucket).names() == []


def test_how_far_a_trial_has_come_reaches_a_directory_that_is_an_address_and_leaves_it(tmp_path):
    home = Home(f"file://{tmp_path}/there")
    home.create(asked(home.address, "a"), ABOUT, "x")
    with open_checkpoints(home, home.paths("a")) as checkpoints:
        checkpoints.put("k", b"so far", ())
    assert checkpoints.trouble == ""
    assert [path.name for path in (tmp_path / "there/a/checkpoints").iterdir()] == ["k.zip"]
    with open_checkpoints(home, home.paths("a")) as checkpoints:
        checkpoints.drop("k")
    assert not (tmp_path / "there/a/checkpoints").exists()


def test_a_home_is_left_as_it_is_where_the_study_is_another_process_s(tmp_path):
    home = Home(f"file://{tmp_path}/there")
    home.create(asked(home.address, "a"), ABOUT, "x")
    (home.paths("a").root / "new").write_text("new")
    for holds in (False, None):
        with home.held(lambda holds=holds: holds):
            with pytest.raises(StudyError, match="another process runs the study now"):
                home.push("a")
            with pytest.raises(StudyError, match="left as it is"):
                home.remove(home.paths("a").about)
            home.paths("a").about.write_text("{}")
        assert (tmp_path / "there/a/study.json").read_text() != "{}"
        assert not (tmp_path / "there/a/new").exists()
    with pytest.raises(StudyError, match="has just changed it"):
        home.read_anew("a")
    home.read_anew("a")
    with pytest.raises(StudyError, match="left as it is"):
        home.push("a")  # it stays another's
    with home.held(lambda: True):
        home.push("a")
    assert (tmp_path / "there/a/new").read_text() == "new"


@pytest.mark.slow
def test_how_far_a_trial_has_come_is_found_on_another_machine(bucket):
    def opened(home):
        home.read("a")
        return open_checkpoints(home, home.paths("a"))

    here = Home(bucket)
    here.create(asked(bucket, "a"), ABOUT, "x")
    with opened(here) as checkpoints:
        checkpoints.put("k", b"so far", ())
    assert checkpoints.trouble == ""
    with opened(Home(bucket)) as checkpoints:
        assert checkpoints.get("k").trial == b"so far"
        checkpoints.drop("k")
    third = Home(bucket)
    with opened(third) as checkpoints:
        assert checkpoints.get("k") is None
    assert not third.paths("a").checkpoints.exists()


@pytest.mark.slow
def test_an_address_that_does_not_answer_is_told(bucket, tmp_path):
    with pytest.raises(RaysearchError, match="no-such-bucket"):
        Home("s3://no-such-bucket/home").create(asked("s3://no-such-bucket/home", "a"), ABOUT, "x")
    assert json.dumps(ABOUT)
    assert os.environ["AWS_ENDPOINT_URL"]
