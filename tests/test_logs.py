"""Where the libraries' chatter goes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from raysearch.errors import StudyError
from raysearch.logs import chatter_to


def test_what_libraries_say_goes_into_the_file_and_nowhere_else(tmp_path, capfd):
    with chatter_to(tmp_path / "deep" / "log"):
        logging.getLogger("raysearch").error("chatter")
    assert "ERROR raysearch: chatter" in (tmp_path / "deep" / "log").read_text()
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_hides_no_error_and_prints_nothing(capfd):
    with pytest.raises(StudyError, match="the reason"), chatter_to(Path("/dev/full")):
        logging.getLogger("raysearch").error("chatter")
        raise StudyError("the reason")
    assert capfd.readouterr().err == ""
