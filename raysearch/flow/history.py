"""``history``: what all studies of a store know, by kind of data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from raysearch.addresses import hide_secrets
from raysearch.config import TrackingConfig
from raysearch.errors import ConfigError
from raysearch.history import Kind, PastStudy, kinds_of
from raysearch.report.history import write_history
from raysearch.tracking import PastReader, check_reachable, resolve_uri

_OF_SERVER = 500  # studies of a server: here nothing waits for them


@dataclass(frozen=True)
class History:
    """What a store's studies know.

    Attributes:
        address: the store's, without secrets.
        studies: those that ended with a result and left something behind, the latest first.
        page: the HTML page that was written; empty: none.
    """

    address: str
    studies: tuple[PastStudy, ...]
    kinds: tuple[Kind, ...]
    page: str = ""


def history(tracking: TrackingConfig, html: str | None = None) -> History:
    """Read what the studies of a store know, and write it as a page where one is asked for.

    Args:
        html: the page's file.

    Raises:
        TrackingError: there is no such store, or it cannot be read.
        ConfigError: the page cannot be written there.
    """
    uri = resolve_uri(tracking)
    if uri is None:
        raise ConfigError("history: reads the MLflow store, and tracking.enabled is false; set it to true")
    if html is not None and not Path(html).absolute().parent.is_dir():
        raise ConfigError(
            f"--html {html}: there is no directory {Path(html).absolute().parent}; make it first"
        )
    check_reachable(uri)
    studies = PastReader(uri, _OF_SERVER).result()
    kinds, address = kinds_of(studies), hide_secrets(uri)
    if html is None:
        return History(address, studies, kinds)
    write_history(kinds, len(studies), address, Path(html))
    return History(address, studies, kinds, html)
