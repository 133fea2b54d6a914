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
        self._todo: dict[Path, bool] = {}  # in the order in which they changed: whether they were there
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
        try:
            self._thread.join()
        except BaseException:  # whoever interrupts this waits no longer
            with self._news:
                self._todo.clear()
            raise

    def changed(self, path: Path) -> None:
        """Have copied what was written, or removed there what was removed here."""
        with self._news:
            self._todo.pop(path, None)
            self._todo[path] = path.exists()
            self._news.notify()

    def _work(self) -> None:
        while (change := self._next()) is not None:
            path, written = change
            try:
                if written:
                    self._place.push(path)
                else:
                    self._place.remove(path)
            except Exception as error:
                if written and not path.exists():
                    continue  # removed meanwhile, which comes next
                self.trouble = str(error) or type(error).__name__
                if self._closed:
                    return  # nobody waits for a place that does not answer

    def _next(self) -> tuple[Path, bool] | None:
        """Return what to see to next, and whether it was written or removed; None: nothing more will come."""
        with self._news:
            self._news.wait_for(lambda: self._todo or self._closed)
            if not self._todo:
                return None
            path = next(iter(self._todo))
            return path, self._todo.pop(path)
