"""The disk of the study runs full in the middle of it: told in words, and gone on with when there is room."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import subprocess
from dataclasses import replace

import pytest
from fault_rig import Server, Study, make_table

pytestmark = pytest.mark.slow
TRIALS = 40


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of 256 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256m", "raysearch-test", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs root that may mount a file system")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place):
    """Write a file until nothing more goes onto the disk, also where others free some; return it."""
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        for _ in range(100):
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(b"\0" * size)
            if is_full(place):
                return filler
    raise AssertionError("the disk is never full")


def is_full(place):
    try:
        (place / "one more").write_bytes(b"\0")
    except OSError as error:
        return error.errno == errno.ENOSPC
    return False


def test_a_study_whose_disk_runs_full_says_so_and_goes_on_when_there_is_room(tmp_path, small_disk):
    server = Server(tmp_path)
    server.start()
    try:
        study = replace(Study(tmp_path, make_table(tmp_path), server.uri, TRIALS), place=small_disk)
        driver = study.start()
        study.wait_for(8, driver)
        filler = fill(small_disk)
        _, errors = driver.communicate(timeout=120)
        assert driver.returncode == 1
        told = errors[errors.index("error: ") :]
        assert "No space left on device" in told
        assert re.search(r"a trial cannot be written down|a trial's model cannot be kept", told)
        assert "Traceback" not in errors
        before = study.ended()
        assert 8 <= len(before) < TRIALS
        study.check_nothing_runs()

        filler.unlink()
        (small_disk / "one more").unlink()
        driver = study.start()
        said, errors = driver.communicate(timeout=240)
        assert driver.returncode == 0, errors
        assert json.loads(said)["trials"]["failed"] == 0
        study.check_trials()
        study.check_record("FINISHED")
        assert min(r.score for r in study.ended() if r.score is not None) <= min(
            r.score for r in before if r.score is not None
        )
        assert not list(study.home.rglob("*.part"))
        study.check_nothing_runs()
    finally:
        server.kill()
