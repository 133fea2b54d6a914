"""Studies of earlier versions: what has another meaning by now keeps the one that it had when they began."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raysearch.study.home import StudyAbout


def as_begun(about: StudyAbout, sections: dict[str, dict[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """Return the settings of a study that goes on, so that its trials are scored as its first ones were.

    Folds had to be asked for. Where calibration was chosen by itself, it was marginal, and before folds went
    by size a single validation part in time had none.
    """
    split, search = {"cv": 1, **sections["split"]}, sections["search"]
    sections = {**sections, "split": split}
    if search.get("calibrate", "auto") != "auto":
        return sections
    by_time = split["by"] == "time" or (split["by"] == "auto" and sections["data"].get("time") is not None)
    none = by_time and split["cv"] == 1 and not about.split_digest
    return {**sections, "search": {**search, "calibrate": "none" if none else "marginal"}}
