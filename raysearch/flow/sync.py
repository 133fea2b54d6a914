"""``sync``: what the record of a study lacks is sent when its MLflow store is back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from raysearch.addresses import hide_secrets
from raysearch.config import Config, TrackingConfig, make_config
from raysearch.errors import RaysearchError, StudyError, resume_command
from raysearch.flow.older import as_begun
from raysearch.flow.places import complete
from raysearch.records import TrialResult
from raysearch.report import ranked
from raysearch.study.home import Home, StudyAbout
from raysearch.study.paths import StudyPaths
from raysearch.study.reading import LedgerReader
from raysearch.tracking import Outbox, check_reachable, open_tracker, read_outbox, resolve_uri


@dataclass(frozen=True)
class Synced:
    """What came of one study's record.

    Attributes:
        trials: that have ended, and so have a run each.
        uri: the store, without secrets.
        left: what could not be sent, in words; empty: the record is complete.
    """

    study: str
    trials: int
    uri: str
    left: tuple[str, ...] = ()


def sync(
    name: str | None = None,
    home: str = "studies",
    tracking_uri: str | None = None,
    tell: Callable[[str], None] = lambda why: None,
) -> list[Synced]:
    """Send what is missing of a study's record, or of every study's in a home that does not run now.

    Args:
        tracking_uri: another store than the study's own; it is sent there whole.
        tell: told what is waited for.

    Raises:
        RaysearchError: of the study that was named: it is unknown, runs now, has no record, or its store
            cannot be used. Of others it is told beside them.
    """
    place = Home(home)
    if name is not None:
        return [_sync(place, place.read(name), tracking_uri, tell)]
    done: list[Synced] = []
    for found in place.names():
        try:
            about = place.read(found)
        except StudyError:
            continue  # no study that could be gone on with either
        try:
            outbox = read_outbox(place.paths(found).outbox)
            wanted = outbox is not None and not (outbox.sent and tracking_uri is None)
            if wanted and not (place.is_locked(found) or _runs_elsewhere(place, about)):
                done.append(_sync(place, about, tracking_uri, tell))
        except (RaysearchError, OSError) as error:
            shown = hide_secrets(tracking_uri or about.config["tracking"]["uri"] or "")
            done.append(Synced(found, 0, shown, (str(error),)))
    return done


def _sync(place: Home, about: StudyAbout, tracking_uri: str | None, tell: Callable[[str], None]) -> Synced:
    with place.locked(about.name) as paths, _alone(place, about, tell):
        outbox = read_outbox(paths.outbox)
        if outbox is None:
            again = resume_command(about.name, place.address)
            raise StudyError(
                f"study {about.name!r} was last run without a record in MLflow, or by an older version: "
                f"`{again}` with a store writes its record"
            )
        config = _config(about, outbox, tracking_uri)
        ledger = LedgerReader(paths.ledger, config.study.ledger, about.ledger_name)
        results, uri = ledger.results(), resolve_uri(config.tracking) or ""
        if outbox.sent and tracking_uri is None:
            return Synced(about.name, len(results), hide_secrets(uri))
        check_reachable(uri)
        left = _send(config.tracking, paths, outbox, results, place.holds)
        if not left and hide_secrets(uri) == outbox.uri:
            replace(outbox, sent=True).write(paths.outbox)
            place.push(about.name, paths.outbox)
        return Synced(about.name, len(results), hide_secrets(uri), left)


@contextlib.contextmanager
def _alone(place: Home, about: StudyAbout, tell: Callable[[str], None]) -> Iterator[None]:
    """Keep drivers on other machines from the study, where its home is at an address and no lock is seen."""
    if place.remote is None:
        yield
        return
    lease = _ledger(place, about).lease(about.name, tell)
    with place.held(lease.holds), lease:
        place.read_anew(about.name)
        yield


def _runs_elsewhere(place: Home, about: StudyAbout) -> bool:
    driver = _ledger(place, about).driver() if place.remote else None
    return driver is not None and driver.seems_to_live


def _ledger(place: Home, about: StudyAbout) -> LedgerReader:
    ledger = place.paths(about.name).ledger
    return LedgerReader(ledger, about.config["study"]["ledger"], about.ledger_name)


def _config(about: StudyAbout, outbox: Outbox, tracking_uri: str | None) -> Config:
    """Return a study's settings with the store that its last run has written to, or the one that is named."""
    sections = {section: dict(values) for section, values in about.config.items()}
    store = {"enabled": True, "uri": tracking_uri or outbox.uri, "experiment": outbox.experiment}
    sections["tracking"] = {**sections["tracking"], **store}
    config = make_config(as_begun(about, sections), in_memory=about.in_memory)
    # The table is not read: an address that lacks its secret keeps nothing from being sent.
    without = replace(config.data, path=None, test_path=None)
    return complete(replace(config, data=without), about)


def _send(
    store: TrackingConfig,
    paths: StudyPaths,
    outbox: Outbox,
    results: Sequence[TrialResult],
    holds: Callable[[], bool | None],
) -> tuple[str, ...]:
    """Make the store say what the study's files say; return what could not be sent."""
    tracker = open_tracker(store)
    tracker.prepare(holds)
    tracker.study_started(outbox.info)
    try:
        tracker.reconcile(results, ())
        if outbox.history:
            tracker.remember(outbox.history)
        files = paths.artifacts if paths.artifacts.is_dir() else None
        model = paths.model if outbox.result is not None and paths.model.is_dir() else None
        tracker.study_ended(outbox.status or "KILLED", outbox.result, ranked(results), files, model)
    finally:
        left = tracker.close()
    return left
