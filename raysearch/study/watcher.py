"""Who is told what happens in a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from raysearch.records import TrialResult


class Watcher(Protocol):
    """Told of every event of a search: the tracker, the progress display."""

    def trial_started(self, number: int, key: str, model: str, params: Mapping[str, Any]) -> None: ...

    def trial_ended(self, result: TrialResult) -> None: ...

    def trial_interrupted(self, key: str) -> None: ...
