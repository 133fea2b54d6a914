"""Loads what comes after the search while this process would only wait for its workers."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from raysearch.models import get_model
from raysearch.records import TrialResult
from raysearch.report import load_plots


class LoadedAhead:
    """Watches a search: with its first trial, all workers have started, and this process has time.

    What cannot be imported says so where it is used.

    Args:
        models: whose libraries are loaded; those of the plots are in any case.
    """

    def __init__(self, models: Sequence[str]) -> None:
        self._thread = threading.Thread(target=_load, args=(models,), name="raysearch-ahead")
        self._begun = False

    def trial_started(self, number: int, key: str, model: str, params: Mapping[str, Any]) -> None:
        pass

    def trial_interrupted(self, key: str) -> None:
        pass

    def trial_ended(self, result: TrialResult) -> None:
        """Begin to import, once."""
        if not self._begun:
            self._begun = True
            with contextlib.suppress(RuntimeError):  # no more threads: then it is loaded where it is used
                self._thread.start()

    def wait(self) -> None:
        """Wait until what was begun is loaded: two threads that import one package can get half of it."""
        if self._thread.ident is not None:
            self._thread.join()


def _load(models: Sequence[str]) -> None:
    for model in models:
        with contextlib.suppress(Exception):
            get_model(model)
    with contextlib.suppress(Exception):
        load_plots()
