"""``tune`` and ``resume``: from settings to a saved model, a report and a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pyarrow.feather

import raysearch
from raysearch.config import Config, make_config
from raysearch.data import prepare, read_table, write_folds
from raysearch.errors import DataError, InterruptedStudyError, StudyError, TrackingError, resume_command
from raysearch.flow.ahead import LoadedAhead
from raysearch.flow.choosing import check_pick, picks_only, refuse_number
from raysearch.flow.closing import close_study, timed_whole
from raysearch.flow.display import Display, Silent
from raysearch.flow.job import Clock, Job
from raysearch.flow.older import as_begun
from raysearch.flow.opening import (
    discard_unused,
    held,
    make_conductor,
    open_checkpoints,
    open_ledger,
    search_begins,
    study_info,
)
from raysearch.flow.places import complete, knock, to_keep, with_ledger
from raysearch.flow.searching import connection, learnt_ahead, planned, search
from raysearch.flow.signals import first_signal, no_interrupt_lost, termination_as_interrupt
from raysearch.flow.space import refuse_location, suited
from raysearch.flow.study import Study
from raysearch.flow.warm import look_back, plain_start, warm_start
from raysearch.logs import chatter_to
from raysearch.space import SearchSpace, load_space, parse_space
from raysearch.study.checkpoints import Checkpoints
from raysearch.study.conductor import Conductor
from raysearch.study.home import Home
from raysearch.study.ledger import Ledger
from raysearch.tracking import (
    StudyInfo,
    Tracker,
    open_tracker,
)

_CONTINUED = (
    "trials",
    "patience",
    "pick",
)  # what a continued study is asked anew, also when it is continued once more


def tune(config: Config, table: Any = None, display: Display | None = None, spent_s: float = 0.0) -> Study:
    """Run a new study to its end.

    Args:
        config: all settings, checked.
        table: a pandas or polars DataFrame or an Arrow table in place of ``data.path``.
        display: told of everything that happens.
        spent_s: seconds of the time budget that are gone already.

    Raises:
        RaysearchError: bad settings, data, cluster or tracking address, before the search starts; or
            a study in which every trial failed.
    """
    clock = Clock.start(config.search.time_budget_s, spent_s)
    display = display or Silent()
    config = with_ledger(config)
    refuse_number(config)
    space = load_space(config.search.model, config.search.space)
    knock(config)
    home = Home(config.study.home)
    home.check_free(config.study.name)
    reader = look_back(config)
    display.phase("reading the table")
    with clock.watch.part("data"):
        table = read_table(table) if table is not None else None
        dataset = prepare(config, table)
    # What was decided here, by size and by time, stays when the study is gone on with.
    config = config.replace("split", cv=dataset.cv)
    config = config.replace("search", calibrate=config.calibration)
    space = suited(config, space, dataset)
    refuse_location(config, space)
    with clock.watch.part("warm start"):
        warm = warm_start(config, space, dataset, reader, display)
    about = home.create(
        config.study,
        {
            "version": raysearch.__version__,
            "digest": dataset.facts.digest,
            "split_digest": dataset.facts.split_digest,
            "in_memory": table is not None,
            "config": to_keep(config).to_dict(),
            "spaces": [part.content for part in space.spaces],
            "warm": plain_start(warm),
        },
        fallback=f"{config.search.model}-{config.data.target}",
    )
    begun = False

    def begin() -> None:
        nonlocal begun
        begun = True

    try:
        if table is not None:
            pyarrow.feather.write_feather(table, str(home.paths(about.name).table), compression="zstd")
            home.push(about.name)
        clock = clock.for_rows(dataset.facts.rows)
        return _run(Job(config, space, dataset, home, about, clock), display, begin)
    finally:
        if not begun and home.holds():
            discard_unused(config, home, about)


def resume(
    name: str,
    home: str = "studies",
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    display: Display | None = None,
    spent_s: float = 0.0,
) -> Study:
    """Go on with a study to the asked number of trials, with all of its history.

    Args:
        overrides: settings that change, by section: more trials, another budget, address, engine or pick.
            What decides which rows are scored how (data, split, levels, objective) stays as it was. A pick
            without trials or a budget runs no trials.

    Raises:
        StudyError: when there is no such study, or its table has changed since.
    """
    place = Home(home)
    about = place.read(name)
    sections = {section: dict(values) for section, values in about.config.items()}
    for section, values in (overrides or {}).items():
        sections[section].update({k: v for k, v in values.items() if v is not None})
    asked_to_record = (overrides or {}).get("tracking", {})
    if asked_to_record.get("uri") is not None and asked_to_record.get("enabled") is None:
        sections["tracking"]["enabled"] = True  # a store is named for a study that had no record so far
    sections["study"].update(home=home, name=name)
    sections["search"]["warm_start"] = "off"  # the points that it began with are in its ledger
    config = complete(make_config(as_begun(about, sections), in_memory=about.in_memory), about)
    clock = Clock.start(config.search.time_budget_s, spent_s)
    display = display or Silent()
    space = SearchSpace(tuple(parse_space(content) for content in about.spaces))
    refuse_location(config, space)
    knock(config)
    display.phase("reading the table")
    with clock.watch.part("data"):
        table = read_table(str(place.paths(name).table)) if about.in_memory else None
        dataset = prepare(config, table)
    if dataset.facts.digest != about.digest:
        raise DataError(
            f"study {name!r}: the table {dataset.facts.source} has changed since the study began, so "
            "its scores could not be compared; put the old table back, or begin a new study"
        )
    if about.split_digest and dataset.facts.split_digest != about.split_digest:
        raise DataError(
            f"study {name!r}: its rows would be split otherwise than when it began, so its scores could not "
            "be compared; go on with the version of raysearch that it was begun with "
            f"({about.version}), or begin a new study"
        )
    asked = {key: getattr(config.search, key) for key in _CONTINUED}
    kept = {**about.config, "search": {**about.config["search"], **asked}}
    clock = clock.for_rows(dataset.facts.rows)
    job = Job(config, space, dataset, place, replace(about, config=kept), clock, picks_only(overrides or {}))
    return _run(job, display, lambda: place.update(job.about))


def _run(job: Job, display: Display, begin: Callable[[], None]) -> Study:
    """Run the study; ``begin`` is called when all that can be refused has been accepted."""
    home, name = job.home, job.about.name
    with (
        home.locked(name) as paths,
        chatter_to(paths.log),
        termination_as_interrupt(),
        held(job, display) as lease,
        open_checkpoints(home, paths) as checkpoints,
    ):
        display.study_made(name, paths.log)
        write_folds(job.dataset.facts, paths.artifacts)
        tracker = open_tracker(job.config.tracking, paths.outbox)
        status, begun = "FAILED", False
        study: Study | None = None
        notes: tuple[str, ...] = ()

        def begins() -> None:
            nonlocal begun
            begun = True
            if tracker.uri is None:
                home.remove(paths.outbox)  # of an earlier run: it is the record's state no more
            begin()
            home.push(name)

        try:
            with no_interrupt_lost():
                ahead = LoadedAhead([part.model for part in job.space.spaces])
                ledger, conductor = _prepared(job, checkpoints, (tracker, display, ahead))
                ledger.check = lease.check
                lease.when_lost = conductor.interrupt
                tracker.prepare(lease.holds)
            with learnt_ahead(job, conductor, ledger) as share:
                job = replace(job, share=share)
                _search(job, conductor, ledger, tracker, display, begins)
                ahead.wait()
                lease.wait_for_answer()
                study, status = close_study(job, conductor, ledger, tracker, display)
        except (KeyboardInterrupt, InterruptedStudyError) as error:
            tracker.study_ended("KILLED", None, (), None, None)
            status = "KILLED"
            if begun and isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt(f"`{resume_command(name, home.address)}` goes on") from None
            raise
        except StudyError:
            lease.wait_for_answer()  # where another process has written to the ledger, that is the reason
            raise
        finally:
            if status == "FAILED":
                tracker.study_ended("FAILED", None, (), None, None)
            notes = _close_record(job, tracker, display)
            if begun and study is None:
                _push_what_is_left(home, name, display)
        lease.wait_for_answer()
        study = timed_whole(job, conductor, study)
        home.push(name)
        return replace(study, warnings=(*study.warnings, *notes))


def _prepared(
    job: Job, checkpoints: Checkpoints, watchers: tuple[Tracker, Display, LoadedAhead]
) -> tuple[Ledger, Conductor]:
    """Open the ledger, and make what decides over its trials."""
    ledger = open_ledger(job)
    check_pick(job, ledger.results)
    here = job.config.compute.engine == "inline"  # where trials run, this process has no time to load ahead
    return ledger, make_conductor(job, ledger, checkpoints, watchers[:2] if here else watchers)


def _close_record(job: Job, tracker: Tracker, display: Display) -> tuple[str, ...]:
    """Wait until the record is complete; whoever ends that keeps the study's files where they belong."""
    patience = "still writing the record; Ctrl-C again leaves it as it is"
    try:
        with first_signal(lambda: display.warn(patience)), job.clock.watch.part("record"):
            return tracker.close()
    except KeyboardInterrupt:
        _push_what_is_left(job.home, job.about.name, display)
        raise


def _push_what_is_left(home: Home, name: str, display: Display) -> None:
    """Copy what there is of a study that has not come to its end, whose reason is what the user must read."""
    if home.holds() is False:
        return  # the files are another process's now
    try:
        home.push(name)
    except StudyError as error:
        display.warn(str(error))


def _search(
    job: Job,
    conductor: Conductor,
    ledger: Ledger,
    tracker: Tracker,
    display: Display,
    begins: Callable[[], None],
) -> None:
    """Connect, open the record, and run the trials."""
    with connection(job, conductor, display) as cluster:
        cluster, plan = planned(job, conductor, cluster)
        with no_interrupt_lost(), job.clock.watch.part("record"):
            ledger.check()  # much time may have passed since the study was taken
            _start_record(tracker, study_info(job), begins)
            if not job.picks_only:
                ledger.try_cut_again()
            tracker.reconcile(ledger.results, ledger.release_lost())
            display.search_begins(search_begins(job, ledger, tracker, cluster))
        for told in filter(None, (plan.told, job.spread_note)):
            display.warn(told)
        with job.clock.watch.part("search"):
            search(job, conductor, ledger, plan.recipe, cluster)
        display.search_ends("pick" if job.picks_only else conductor.stopped_by)
        conductor.watch.add("tracking", tracker.spent_s)


def _start_record(tracker: Tracker, info: StudyInfo, begin: Callable[[], None]) -> None:
    """Open the study's run: a refusal leaves nothing of the study, what else comes between can be resumed."""
    try:
        tracker.study_started(info)
    except TrackingError:
        raise
    except BaseException:
        begin()
        raise
    begin()
