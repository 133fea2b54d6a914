"""How far a trial has come at a rung, so that another worker can go on with it when its node is lost."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from raysearch.metrics import Array

_ABOUT, _RAW, _BOOSTERS = "about.json", "raw.npy", "boosters/"


@dataclass(frozen=True)
class Checkpoint:
    """A trial's training up to a rung.

    Attributes:
        rounds: boosting rounds done.
        first: by the first fold alone; the others have not begun.
        seconds: that it has taken so far.
        boosters: what ``Fit.save`` returned; empty where the next rung trains them anew anyway.
        best: rounds that served best so far; 0: none were looked for.
        raw: what the boosters of these rounds say of the watched rows, [rows, levels].
    """

    rounds: int
    first: bool
    seconds: float
    boosters: Mapping[str, bytes] = field(repr=False)
    best: int = 0
    raw: Array = field(default_factory=lambda: np.empty((0, 0)), repr=False)

    def pack(self) -> bytes:
        """Return it as one file, a ZIP archive."""
        about = {"rounds": self.rounds, "first": self.first, "seconds": self.seconds, "best": self.best}
        raw, packed = io.BytesIO(), io.BytesIO()
        np.save(raw, self.raw, allow_pickle=False)
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(_ABOUT, json.dumps(about))
            archive.writestr(_RAW, raw.getvalue())
            for name, content in self.boosters.items():
                archive.writestr(_BOOSTERS + name, content)
        return packed.getvalue()

    @classmethod
    def unpack(cls, packed: bytes) -> Checkpoint:
        """Return what ``pack`` has made a file of.

        Raises:
            Exception: it is none.
        """
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            boosters = {
                name.removeprefix(_BOOSTERS): archive.read(name)
                for name in archive.namelist()
                if name.startswith(_BOOSTERS)
            }
            raw = np.load(io.BytesIO(archive.read(_RAW)), allow_pickle=False)
            return cls(**json.loads(archive.read(_ABOUT)), boosters=boosters, raw=raw)
