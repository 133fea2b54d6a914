"""What a study runs with: its ledger, its conductor, and what is told of it when its search begins."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from raysearch.addresses import hide_secrets
from raysearch.config import Config
from raysearch.errors import NoTrialsError, StudyError
from raysearch.flow.display import Display, SearchBegins
from raysearch.flow.environment import describe_environment
from raysearch.flow.job import Job
from raysearch.flow.warm import kept_start
from raysearch.history import ONE_IN
from raysearch.study.checkpoints import Checkpoints
from raysearch.study.cluster import Cluster
from raysearch.study.conductor import Conductor
from raysearch.study.copies import Copies
from raysearch.study.home import Home, StudyAbout
from raysearch.study.kept import KeptModels
from raysearch.study.lease import Lease, Unshared
from raysearch.study.ledger import Ledger, forget, is_new, open_storage, study_in
from raysearch.study.limits import Limits
from raysearch.study.paths import StudyPaths
from raysearch.study.reading import LedgerReader
from raysearch.study.sampler import make_sampler
from raysearch.study.watcher import Watcher
from raysearch.tracking import StudyInfo, Tracker

_CANDIDATES_A_MEMBER = 2  # models kept for each that the ensemble may have


def open_ledger(job: Job) -> Ledger:
    """Open the study's ledger, with what proposes its trials."""
    storage = open_storage(job.paths.ledger, job.config.study.ledger)
    search = job.config.search
    warm = kept_start(job.about.warm)
    points = warm.points if warm else ()
    # How many trials a time budget allows nobody knows: then these points come as trials do.
    one_in = ONE_IN if search.time_budget_s is not None else 0
    objectives = len(job.config.objectives)
    ledger = Ledger.open(storage, job.about.ledger_name, job.space, objectives, points, one_in)
    first = min(1, len(points)) if one_in else len(points)
    ledger.use_sampler(make_sampler(job.space, search.seed, ledger.begun, search.sampler, first))
    return ledger


def discard_unused(config: Config, home: Home, about: StudyAbout) -> None:
    """Take away a study in which nothing has run; not one that another process has taken up meanwhile."""
    with contextlib.suppress(StudyError), home.locked(about.name) as paths:
        if not _is_used(config, paths, about):
            forget(config.study.ledger, about.ledger_name)
            home.discard(about.name)


def _is_used(config: Config, paths: StudyPaths, about: StudyAbout) -> bool:
    """Tell whether trials of a study have run, or a process runs it; unread, they may have."""
    try:
        ledger = LedgerReader(paths.ledger, config.study.ledger, about.ledger_name)
        driver = ledger.driver()
        return bool(ledger.results() or ledger.running()) or (driver is not None and driver.seems_to_live)
    except NoTrialsError:
        return False
    except StudyError:
        return True


def study_info(job: Job) -> StudyInfo:
    """Return what the record must know of the study."""
    return StudyInfo(
        name=job.about.name,
        study_id=job.about.id,
        config=job.config.to_dict(),
        facts=job.dataset.facts,
        quality=job.dataset.quality,
        environment=describe_environment(),
    )


def make_conductor(
    job: Job, ledger: Ledger, checkpoints: Checkpoints, watchers: tuple[Watcher, ...]
) -> Conductor:
    """Return what decides over the study's trials."""
    search, bound = job.config.search, job.config.search.max_predict_ms
    ended = sum(result.counts for result in ledger.results)
    limits = Limits(
        trials=ended if job.picks_only else search.trials,
        deadline_s=job.clock.search_deadline_s,
        patience=search.patience,
        scheduler=job.config.early_stopping,
        max_rounds=job.space.max_rounds,
        refit_scale=job.refit_scale if search.refit else 0.0,
        refit_most_s=job.clock.refit_most_s,
        pick=job.config.pick,
        candidates=1 if search.ensemble == 1 and bound is None else _CANDIDATES_A_MEMBER * search.ensemble,
        members=search.ensemble,
        last_words_s=job.clock.last_words_s,
        checkpoint_after_s=job.config.compute.checkpoint_after_s,
    )
    return Conductor(ledger, limits, KeptModels(job.paths.kept), watchers, checkpoints)


@contextlib.contextmanager
def open_checkpoints(home: Home, paths: StudyPaths) -> Iterator[Checkpoints]:
    """Open how far the study's trials have come; what changed lies where the study lives afterwards."""
    if home.remote is None:
        yield Checkpoints(paths.checkpoints)
        return
    with Copies(home.remote) as copies:
        yield Checkpoints(paths.checkpoints, copies)


@contextlib.contextmanager
def held(job: Job, display: Display) -> Iterator[Lease | Unshared]:
    """Keep other machines' processes from the study, where its directory's lock cannot.

    Raises:
        StudyError: one of them runs it, or has just run it.
    """
    if job.home.remote is None:
        yield Unshared()
        return
    storage = open_storage(job.paths.ledger, job.config.study.ledger)
    study = study_in(storage, job.about.ledger_name, len(job.config.objectives))
    lease = Lease(study, job.about.name, display.phase)
    with job.home.held(lease.holds), lease:
        if not is_new(study):
            job.home.read_anew(job.about.name)
        yield lease


def search_begins(job: Job, ledger: Ledger, tracker: Tracker, cluster: Cluster | None) -> SearchBegins:
    """Return what the user is told when the search begins."""
    return SearchBegins(
        study=job.about.name,
        facts=job.dataset.facts,
        quality=job.dataset.quality,
        dashboard=cluster.dashboard if cluster else "",
        slots=cluster.slots if cluster else 1,
        tracking_uri=hide_secrets(tracker.uri) if tracker.uri else None,
        ended=ledger.results,
        trials=job.config.search.trials,
        time_budget_s=job.config.search.time_budget_s,
        deadline_s=job.clock.deadline_s,
        objectives=tuple(objective.title for objective in job.config.objectives),
        warm=None if ledger.results else kept_start(job.about.warm),
    )
