"""Where the libraries' chatter goes: into the study's log file, not into the user's terminal."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

_CHATTY = ("ray", "mlflow", "alembic", "optuna", "sqlalchemy", "urllib3", "git", "lightgbm", "matplotlib")


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say nothing of a full disk: it is told by what needs it."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


@contextlib.contextmanager
def chatter_to(path: Path) -> Iterator[None]:
    """While open, what the libraries log and warn of is appended to ``path``, and nowhere else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in (*_CHATTY, "py.warnings", "raysearch")]
    before = [(logger.propagate, list(logger.handlers)) for logger in loggers]
    logging.captureWarnings(True)
    for logger in loggers:
        logger.handlers = [handler]
        logger.propagate = False
    try:
        yield
    finally:
        logging.captureWarnings(False)
        for logger, (propagate, handlers) in zip(loggers, before, strict=True):
            logger.propagate, logger.handlers = propagate, handlers
        with contextlib.suppress(OSError):
            handler.close()
