"""What workers of a node share: made once, gone with its maker, never what it was not meant to be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raysearch.node_share import NodeShare, _home, end_share

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="there is no /proc")

OTHER = """
import sys, time
from pathlib import Path
from raysearch.node_share import NodeShare
share = NodeShare(sys.argv[1])
def make():
    print("making", flush=True)
    time.sleep(float(sys.argv[3]))
    return sys.argv[2]
got = share.once("rows", make, lambda made, path: path.write_text(made), Path.read_text)
print("got " + got, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def study(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return "a-study"


@pytest.fixture
def other(study):
    """Return what starts a process that shares rows, and hands back the process."""
    begun = []

    def start(content, seconds=0.0):
        words = [sys.executable, "-c", OTHER, study, content, str(seconds)]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        begun.append(process)
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def once(share, content, key="rows"):
    """Return what the share has, and whether it had to be made."""
    made = []

    def make():
        made.append(content)
        return content

    return share.once(key, make, lambda it, path: path.write_text(it), Path.read_text), bool(made)


def test_a_second_worker_takes_what_the_first_has_made(study, other):
    first = other("theirs")
    assert [first.stdout.readline(), first.stdout.readline()] == ["making\n", "got theirs\n"]
    share = NodeShare(study)
    assert once(share, "mine") == ("theirs", False)
    assert once(share, "mine", key="other rows") == ("mine", True)
    assert once(NodeShare("another study"), "mine") == ("mine", True)


def test_whoever_comes_while_it_is_made_waits(study, other):
    first = other("theirs", 1.0)
    assert first.stdout.readline() == "making\n"
    assert once(NodeShare(study), "mine") == ("theirs", False)


def test_what_a_killed_worker_has_made_is_made_anew(study, other):
    first = other("theirs")
    first.stdout.readline(), first.stdout.readline()
    first.send_signal(signal.SIGKILL)
    first.wait()
    share = NodeShare(study)
    assert once(share, "mine") == ("mine", True)
    assert once(share, "again") == ("mine", False)


def test_a_worker_killed_while_it_makes_holds_nobody_up(study, other):
    first = other("theirs", 60)
    assert first.stdout.readline() == "making\n"
    first.send_signal(signal.SIGKILL)
    assert once(NodeShare(study), "mine") == ("mine", True)


def test_what_was_forgotten_is_made_anew(study):
    share = NodeShare(study)
    once(share, "mine")
    share.forget("rows")
    share.forget("what was never made")
    assert once(share, "anew") == ("anew", True)


def test_what_was_forgotten_is_not_taken_for_what_has_its_place(study, other):
    """The number of a file that is closed belongs to the next one that is opened."""
    share = NodeShare(study)
    once(share, "one", key="one")
    share.forget("one")
    once(share, "two", key="two")
    process = subprocess.run(
        [sys.executable, "-c", OTHER.replace('"rows"', '"one"'), study, "anew", "0"],
        input="",
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.split("\n")[:2] == ["making", "got anew"]


def test_a_number_that_belongs_to_another_file_leads_nowhere(study, tmp_path):
    """As where the note was left by a process whose number another one has now."""
    share = NodeShare(study)
    once(share, "mine")
    (note,) = (_home() / study).iterdir()
    place, identity = note.read_text().split(" ")
    with (tmp_path / "foreign").open("w+") as foreign:
        foreign.write("foreign")
        foreign.flush()
        note.write_text(f"/proc/{os.getpid()}/fd/{foreign.fileno()} {identity}")
        assert once(NodeShare(study), "anew") == ("anew", True)
    assert place.startswith(f"/proc/{os.getpid()}/fd/")


def test_a_worker_does_not_forget_what_another_has_made(study, other):
    share = NodeShare(study)
    once(share, "mine")
    (note,) = (_home() / study).iterdir()
    note.write_text("")  # as where it could not be read by the other
    second = NodeShare(study)
    once(second, "theirs")
    share.forget("rows")
    assert once(NodeShare(study), "anew") == ("theirs", False)


def test_no_name_shares_nothing(study):
    assert once(NodeShare(""), "mine") == ("mine", True)
    assert once(NodeShare(""), "mine") == ("mine", True)
    assert not _home().exists()


def test_what_cannot_be_loaded_or_saved_is_made(study):
    share = NodeShare(study)

    def fails(*_):
        raise NotImplementedError

    assert share.once("x", lambda: 1, fails, fails) == 1
    assert share.once("y", lambda: 2, lambda _, path: path.write_text("2"), fails) == 2
    assert (
        share.once("y", lambda: 3, lambda _, path: path.write_text("3"), fails) == 3
    )  # not readable as asked
    assert [path.name for path in (_home() / study).iterdir() if not path.suffix] != []


def test_a_place_of_someone_else_is_not_used(study, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    _home().symlink_to(elsewhere)
    assert once(NodeShare(study), "mine") == ("mine", True)
    assert not list(elsewhere.iterdir())


def test_a_failure_to_make_is_the_makers(study):
    share = NodeShare(study)
    with pytest.raises(ZeroDivisionError):
        share.once("x", lambda: 1 // 0, lambda *_: None, Path.read_text)
    assert once(share, "mine", key="x") == ("mine", True)


def test_ended_studies_leave_nothing(study):
    share = NodeShare(study)
    once(share, "mine")
    end_share(study)
    assert not (_home() / study).exists()
    assert once(share, "late") == ("late", True)  # a worker that is still there does without
    end_share("")
    assert _home().exists()


def test_places_that_others_left_are_swept(study):
    old, new, used = (_home() / name for name in ("old", "new", "used"))
    once(NodeShare("old"), "gone")
    used_share = NodeShare("used")
    once(used_share, "kept")
    NodeShare("new")
    for note in old.iterdir():
        note.write_text(f"/proc/{os.getpid()}/fd/0 1-2-3")
    for place in (old, used):
        os.utime(place, (time.time() - 7200,) * 2)
    NodeShare(study)
    assert (old.exists(), new.exists(), used.exists()) == (False, True, True)


def test_what_a_killed_process_had_half_written_is_swept_too(study):
    once(NodeShare("old"), "gone")
    place = _home() / "old"
    for note in place.iterdir():
        note.write_text("")
    (place / "0123.456").write_bytes(bytes(range(256)))
    os.utime(place, (time.time() - 7200,) * 2)
    assert once(NodeShare(study), "mine") == ("mine", True)
    assert not place.exists()
