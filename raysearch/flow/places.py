"""The addresses of a study: knocked at before anything is made, kept without secrets, asked for again."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from raysearch.addresses import hide_secrets, is_incomplete
from raysearch.config import Config
from raysearch.config_rules import LEDGER_VARIABLE, ledger_of
from raysearch.errors import Problems, StudyError
from raysearch.study.cluster import check_address, check_fits
from raysearch.study.database import check_database, is_same_place
from raysearch.study.home import StudyAbout
from raysearch.study.storage import holds_study
from raysearch.tracking import check_experiment, check_reachable, resolve_uri


def with_ledger(config: Config) -> Config:
    """Return the settings of a new study with its ledger, which the environment may name."""
    return config.replace("study", ledger=ledger_of(config.study))


def knock(config: Config) -> None:
    """Knock at the addresses that a study will need, before anything is read or made.

    Raises:
        RaysearchError: nobody is there, or not who should be.
    """
    check_fits(config.compute)
    if config.compute.engine == "ray":
        check_address(config.compute.address)
    if config.study.ledger is not None:
        check_database(config.study.ledger)
    uri = resolve_uri(config.tracking)
    if uri is not None:
        if config.study.ledger is not None and is_same_place(config.study.ledger, uri):
            raise StudyError(
                f"ledger: {_hidden(uri)} is MLflow's store too; give the ledger a database of its own"
            )
        check_reachable(uri)
        check_experiment(uri, config.tracking.experiment)


def to_keep(config: Config) -> Config:
    """Return the settings as a study keeps them: found again from any directory, without secrets."""
    study, data = config.study, config.data
    kept = replace(
        config,
        study=replace(study, home=hide_secrets(study.home), ledger=_hidden(study.ledger)),
        data=replace(data, path=_lasting(data.path), test_path=_lasting(data.test_path)),
    )
    return kept.replace("tracking", uri=_hidden(resolve_uri(config.tracking) or config.tracking.uri))


def complete(config: Config, about: StudyAbout) -> Config:
    """Return the settings of a continued study with the secrets that it does not keep.

    Raises:
        StudyError: an address lacks its secret, or the ledger given is not the study's.
    """
    if is_incomplete(config.study.ledger):
        config = config.replace("study", ledger=os.environ.get(LEDGER_VARIABLE) or config.study.ledger)
    if is_incomplete(config.tracking.uri):
        uri = os.environ.get("MLFLOW_TRACKING_URI") or config.tracking.uri
        config = config.replace("tracking", uri=uri)
    _check_whole(config, about)
    kept, given = about.config["study"]["ledger"], config.study.ledger
    if _hidden(given) == kept:
        return config
    if kept is None:
        raise StudyError(
            f"study {about.name!r}: its trials are in a file of its own, not at --ledger {_hidden(given)}; "
            "leave --ledger out"
        )
    check_database(str(given))
    if not holds_study(str(given), about.ledger_name):
        raise StudyError(
            f"study {about.name!r}: its trials are not at {_hidden(given)}; it was begun with --ledger {kept}"
        )
    return config


def _check_whole(config: Config, about: StudyAbout) -> None:
    record = config.tracking.uri if config.tracking.enabled else None
    asked = (
        (config.data.path if not about.in_memory else None, "its table", "--data ADDRESS"),
        (config.data.test_path, "its test rows", "--test ADDRESS"),
        (config.study.ledger, "its ledger", f"--ledger ADDRESS or {LEDGER_VARIABLE}"),
        (record, "its MLflow store", "--tracking-uri ADDRESS or MLFLOW_TRACKING_URI, or --no-tracking"),
    )
    problems = Problems(f"study {about.name!r}")
    for address, what, how in asked:
        if is_incomplete(address):
            problems.add(f"{what} is at {address}, whose secrets (***) are not kept; give {how}")
    problems.raise_as(StudyError)


def _hidden(address: str | None) -> str | None:
    return None if address is None else hide_secrets(address)


def _lasting(path: str | None) -> str | None:
    if path and Path(path).expanduser().is_file():
        return str(Path(path).expanduser().absolute())
    return _hidden(path)
