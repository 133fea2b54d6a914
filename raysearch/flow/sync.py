"""``sync``: what the record of a study lacks is sent when its MLflow store is back."""

from __future__ import annotations

from dataclasses import dataclass, replace

from raysearch.addresses import hide_secrets
from raysearch.config import Config, TrackingConfig, make_config
from raysearch.errors import RaysearchError, StudyError, TrackingError
from raysearch.flow.older import as_begun
from raysearch.flow.places import complete
from raysearch.report import ranked
from raysearch.study.home import Home, StudyAbout
from raysearch.study.ledger import open_storage_to_read, read_results
from raysearch.study.paths import StudyPaths
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


def sync(name: str | None = None, home: str = "studies", tracking_uri: str | None = None) -> list[Synced]:
    """Send what is missing of a study's record, or of every study's in a home that does not run now.

    Args:
        tracking_uri: another store than the study's own; with a name it is sent there whole.

    Raises:
        RaysearchError: of the study that was named: it is unknown, runs now, has no record, or its store
            cannot be used. Of others it is told beside them.
    """
    place = Home(home)
    if name is not None:
        return [_sync(place, place.read(name), tracking_uri)]
    done: list[Synced] = []
    for found in place.names():
        try:
            about = place.read(found)
        except StudyError:
            continue  # no study that could be gone on with either
        try:
            outbox = read_outbox(place.paths(found).outbox)
            if outbox is not None and not outbox.sent and not place.is_locked(found):
                done.append(_sync(place, about, tracking_uri))
        except RaysearchError as error:
            shown = hide_secrets(tracking_uri or about.config["tracking"]["uri"] or "")
            done.append(Synced(found, 0, shown, (str(error),)))
    return done


def _sync(place: Home, about: StudyAbout, tracking_uri: str | None) -> Synced:
    with place.locked(about.name) as paths:
        outbox = read_outbox(paths.outbox)
        if outbox is None:
            raise StudyError(
                f"study {about.name!r} was run without a record in MLflow: there is none to send"
            )
        synced = _send(about, _config(about, tracking_uri), paths, outbox)
        if not synced.left:
            replace(outbox, sent=True).write(paths.outbox)
        place.push(about.name)
        return synced


def _config(about: StudyAbout, tracking_uri: str | None) -> Config:
    sections = {section: dict(values) for section, values in about.config.items()}
    sections["tracking"]["enabled"] = True
    if tracking_uri is not None:
        sections["tracking"]["uri"] = tracking_uri
    config = make_config(as_begun(about, sections), in_memory=about.in_memory)
    # The table is not read: an address that lacks its secret keeps nothing from being sent.
    without = replace(config.data, path=None, test_path=None)
    return complete(replace(config, data=without), about)


def _send(about: StudyAbout, config: Config, paths: StudyPaths, outbox: Outbox) -> Synced:
    storage = open_storage_to_read(paths.ledger, config.study.ledger)
    results = read_results(storage, about.ledger_name) if storage else ()
    uri = _address(config.tracking)
    tracker = open_tracker(config.tracking)
    tracker.study_started(outbox.info)
    left: tuple[str, ...] = ()
    try:
        tracker.reconcile(results, ())
        if outbox.history:
            tracker.remember(outbox.history)
        files = paths.artifacts if paths.artifacts.is_dir() else None
        model = paths.model if outbox.result is not None and paths.model.is_dir() else None
        status = outbox.status or "KILLED"
        tracker.study_ended(status, outbox.result, ranked(results), files, model)
    finally:
        left = tracker.close()
    return Synced(about.name, len(results), hide_secrets(uri), left)


def _address(config: TrackingConfig) -> str:
    uri = resolve_uri(config)
    if uri is None:
        raise TrackingError("no MLflow store is named: give --tracking-uri ADDRESS")
    check_reachable(uri)
    return uri
