"""``tune`` and ``resume``: from settings to a saved model, a report and a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any


import pyarrow.feather

import raysearch
from raysearch.config import Config, make_config
from raysearch.data import prepare, read_table
from raysearch.errors import DataError
from raysearch.flow.closing import close_study
from raysearch.flow.display import Display, SearchBegins, Silent
from raysearch.flow.environment import describe_environment
from raysearch.flow.job import Clock, Job
from raysearch.flow.signals import interruptible
from raysearch.flow.study import Study
from raysearch.logs import chatter_to
from raysearch.space import load_space
from raysearch.study.cluster import Cluster, check_address, connected
from raysearch.study.conductor import Conductor, Limits, Watcher
from raysearch.study.home import Home
from raysearch.study.kept import KeptModels
from raysearch.study.ledger import Ledger, make_sampler, open_storage
from raysearch.tracking import StudyInfo, Tracker, check_reachable, open_tracker, resolve_uri


def tune(config: Config, table: Any = None, display: Display | None = None) -> Study:
    """Run a new study to its end.

    Args:
        config: all settings, checked.
        table: a pandas or polars DataFrame or an Arrow table in place of ``data.path``.
        display: told of everything that happens.

    Raises:
        RaysearchError: bad settings, data, cluster or tracking address, before the search starts; or a study in
            which every trial failed.
    """
    clock = Clock.start(config.search.time_budget_s)
    display = display or Silent()
    space = load_space(config.search.model, config.search.space)
    _check_addresses(config)
    home = Home(config.study.home)
    display.phase("reading the table")
    table = read_table(table) if table is not None else None
    dataset = prepare(config, table)
    about = home.create(
        config.study,
        {
            "version": raysearch.__version__,
            "digest": dataset.facts.digest,
            "in_memory": table is not None,
            "config": config.to_dict(),
        },
        fallback=f"{config.search.model}-{config.data.target}",
    )
    if table is not None:
        pyarrow.feather.write_feather(table, str(home.paths(about.name).table), compression="zstd")
        home.push(about.name)
    return _run(Job(config, space, dataset, home, about, clock), display)


def resume(
    name: str,
    home: str = "studies",
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
    display: Display | None = None,
) -> Study:
    """Go on with a study to the asked number of trials, with all of its history.

    Args:
        overrides: settings that change, by section: more trials, another budget, address or engine. What decides
            which rows are scored how (data, split, levels) stays as it was.

    Raises:
        StudyError: when there is no such study, or its table has changed since.
    """
    place = Home(home)
    about = place.read(name)
    sections = {section: dict(values) for section, values in about.config.items()}
    for section, values in (overrides or {}).items():
        sections[section].update({k: v for k, v in values.items() if v is not None})
    sections["study"].update(home=home, name=name)
    config = make_config(sections, in_memory=about.in_memory)
    clock = Clock.start(config.search.time_budget_s)
    display = display or Silent()
    space = load_space(config.search.model, config.search.space)
    _check_addresses(config)
    display.phase("reading the table")
    table = read_table(str(place.paths(name).table)) if about.in_memory else None
    dataset = prepare(config, table)
    if dataset.facts.digest != about.digest:
        raise DataError(
            f"study {name!r}: the table {dataset.facts.source} has changed since the study began, so its scores "
            "could not be compared; put the old table back, or begin a new study"
        )
    return _run(Job(config, space, dataset, place, about, clock), display)


def _check_addresses(config: Config) -> None:
    """Knock at the addresses that the study will need, before anything is read or made."""
    if config.compute.engine == "ray":
        check_address(config.compute.address)
    uri = resolve_uri(config.tracking)
    if uri is not None:
        check_reachable(uri)


def _run(job: Job, display: Display) -> Study:
    with job.home.locked(job.about.name) as paths, chatter_to(paths.log):
        display.study_made(job.about.name, Path(job.home.told_path(paths.log)))
        storage = open_storage(paths.ledger, job.config.study.ledger)
        tracker = open_tracker(job.config.tracking)
        status = "FAILED"
        notes: tuple[str, ...] = ()
        try:
            ledger = _open_ledger(job, storage)
            waiting = ledger.release_lost()
            tracker.study_started(_info(job))
            tracker.reconcile(ledger.results, waiting)
            conductor = _search(job, ledger, tracker, display)
            study, status = close_study(job, conductor, ledger, tracker, display)
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            if status == "FAILED":
                tracker.study_ended("FAILED", None, (), None, None)
            notes = tracker.close()
            job.home.push(job.about.name)
        return replace(study, warnings=(*study.warnings, *notes))


def _open_ledger(job: Job, storage: Any) -> Ledger:
    ledger = Ledger.open(storage, job.about.ledger_name, job.space)
    ledger.use_sampler(make_sampler(job.space, job.config.search.seed, len(ledger.results)))
    return ledger


def _info(job: Job) -> StudyInfo:
    return StudyInfo(
        name=job.about.name,
        study_id=job.about.id,
        config=job.config.to_dict(),
        facts=job.dataset.facts,
        quality=job.dataset.quality,
        environment=describe_environment(),
    )


def _search(job: Job, ledger: Ledger, tracker: Tracker, display: Display) -> Conductor:
    search = job.config.search
    limits = Limits(
        trials=search.trials,
        deadline_s=job.clock.search_deadline_s,
        patience=search.patience,
        scheduler=search.scheduler,
        max_rounds=job.space.max_rounds,
        refit_scale=job.refit_scale if search.refit else 0.0,
        refit_most_s=job.clock.refit_most_s,
    )
    watchers: tuple[Watcher, ...] = (tracker, display)
    conductor = Conductor(ledger, limits, KeptModels(job.paths.kept), watchers)
    if conductor.wants() == "done":
        return conductor
    if job.config.compute.engine == "inline":
        from raysearch.study.inline import run_inline

        display.search_begins(_begins(job, ledger, tracker, None))
        with interruptible(conductor):
            run_inline(conductor, ledger, job.space, job.dataset.table, job.recipe())
    else:
        display.phase("starting Ray")
        with connected(job.config.compute) as cluster:
            from raysearch.study.ray_engine import run_on_ray

            display.search_begins(_begins(job, ledger, tracker, cluster))
            with interruptible(conductor):
                place = (cluster, job.config.compute)
                run_on_ray(conductor, ledger.study, job.space, (job.dataset.table, job.recipe()), place)
    display.search_ends(conductor.stopped_by)
    return conductor


def _begins(job: Job, ledger: Ledger, tracker: Tracker, cluster: Cluster | None) -> SearchBegins:
    return SearchBegins(
        study=job.about.name,
        facts=job.dataset.facts,
        quality=job.dataset.quality,
        dashboard=cluster.dashboard if cluster else "",
        slots=cluster.slots if cluster else 1,
        tracking_uri=tracker.uri,
        ended=ledger.results,
        trials=job.config.search.trials,
        time_budget_s=job.config.search.time_budget_s,
        deadline_s=job.clock.deadline_s,
    )


