"""Files that change during a search, copied to the home's address without the search waiting for it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Protocol


class _Place(Protocol):
    def push(self, source: Path) -> None: ...

    def remove(self, path: Path) -> None: ...


class Copies:
    """Keeps files at an address as they are here, in a thread of its own.

    Of a file that changes faster than it is copied only the newest state is sent. Leaving its context waits
    until all is there.
    """

    def __init__(self, place: _Place) -> None:
        self.trouble = ""  # the last thing that went wrong
        self._place = place
        self._todo: dict[Path, None] = {}  # in the order in which they changed
        self._news = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="raysearch-copies", daemon=True)

    def __enter__(self) -> Copies:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._news:
            self._closed = True
            self._news.notify()
        self._thread.join()

    def changed(self, path: Path) -> None:
        """Have copied what was written, or removed there what was removed here."""
        with self._news:
            self._todo.pop(path, None)
            self._todo[path] = None
            self._news.notify()

    def _work(self) -> None:
        while (path := self._next()) is not None:
            there = path.exists()
            try:
                if there:
                    self._place.push(path)
                else:
                    self._place.remove(path)
            except Exception as error:
                if there and not path.exists():
                    continue  # removed meanwhile, which comes next
                self.trouble = str(error) or type(error).__name__
                if self._closed:
                    return  # nobody waits for a place that does not answer

    def _next(self) -> Path | None:
        """Return what to see to next, as soon as there is something; None: nothing more will come."""
        with self._news:
            self._news.wait_for(lambda: self._todo or self._closed)
            if not self._todo:
                return None
            path = next(iter(self._todo))
            del self._todo[path]
            return path
