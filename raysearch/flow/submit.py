"""``--submit``: a study runs on a cluster's head, as a job that needs its sender no more."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from raysearch.addresses import has_secrets, hide_secrets
from raysearch.config import Config
from raysearch.data.address import find_source
from raysearch.errors import ClusterError, ConfigError, DataError
from raysearch.study.home import free_name
from raysearch.study.jobs import MOST_MB, Jobs, JobState

HOME = "~/raysearch-studies"  # on the head: a job's own directory goes with it
_TABLES = f"{HOME}/tables"
_RECORD = "sqlite:///$HOME/raysearch-studies/mlflow.db"
_LOOK_EVERY_S = 1.0
_AWAY_S = 120.0  # for which a head that does not answer is waited for


@dataclass(frozen=True)
class Sent:
    """A study that was sent to a cluster.

    Attributes:
        home: where the study lives there.
    """

    study: str
    job: str
    address: str
    home: str


def submit(config: Config, address: str, *, json_wanted: bool = False) -> Sent:
    """Send a new study to the cluster whose dashboard is at ``address``, with its table if that lies here.

    Raises:
        RaysearchError: the table is not there or too large, an address holds a secret, or nobody answers.
    """
    study = config.study.name or free_name(f"{config.search.model}-{config.data.target}", ())
    home = HOME if config.study.home == "studies" else config.study.home
    _refuse_secrets(config)
    jobs = Jobs(address)
    with tempfile.TemporaryDirectory(prefix="raysearch-job-") as folder:
        there = _packed(config, Path(folder))
        there = there.replace("study", name=study, home=home).replace("compute", address="auto")
        # Ray leaves out what a .gitignore names, and a table may well be.
        text = yaml.safe_dump(_plain(there), sort_keys=False, allow_unicode=True)
        (Path(folder) / "job.yaml").write_text(text, encoding="utf-8")
        words = ["tune", "--config", "job.yaml", *["--json"] * json_wanted]
        job = jobs.submit(study, _entrypoint(words, record=config.tracking.uri is None), Path(folder))
    return Sent(study, job, address, home)


def submit_resume(name: str, address: str, home: str, words: Sequence[str], *, json_wanted: bool) -> Sent:
    """Go on with a study that lives on a cluster; ``words`` are the options of ``resume``."""
    home = HOME if home == "studies" else home
    jobs = Jobs(address)
    command = ["resume", name, "--home", home, "--address", "auto", *words, *["--json"] * json_wanted]
    with tempfile.TemporaryDirectory(prefix="raysearch-job-") as folder:
        (Path(folder) / "job.yaml").write_text("{}\n")  # Ray takes no empty directory
        job = jobs.submit(name, _entrypoint(command, record=True), Path(folder))
    return Sent(name, job, address, home)


def follow(sent: Sent, tell: Callable[[str], None]) -> JobState:
    """Tell each line that a job prints until it has ended; return how it ended.

    Raises:
        ClusterError: the head has not answered for two minutes; the job may go on.
    """
    jobs, told, answered = Jobs(sent.address), 0, time.monotonic()
    while True:
        try:
            state = jobs.state(sent.job)  # before the log, so that its end is in it
            lines = jobs.log(sent.job).splitlines(keepends=True)
            answered = time.monotonic()
        except ClusterError:
            if time.monotonic() - answered > _AWAY_S:
                raise
            time.sleep(_LOOK_EVERY_S)
            continue
        whole = lines if state.ended else [line for line in lines if line.endswith("\n")]
        for line in whole[told:]:
            tell(line.rstrip("\n"))
        told = max(told, len(whole))
        if state.ended:
            return state
        time.sleep(_LOOK_EVERY_S)


def stop(name: str, address: str, patience_s: float = 90.0) -> JobState:
    """Interrupt the job that runs a study, so that it keeps its best model so far, and wait for its end.

    Raises:
        StudyError: no job runs such a study.
        ClusterError: nobody answers, or it has not ended in time.
    """
    jobs = Jobs(address)
    job, until = jobs.find(name), time.monotonic() + patience_s
    jobs.stop(job)
    while not (state := jobs.state(job)).ended:
        if time.monotonic() > until:
            raise ClusterError(f"study {name!r} was interrupted, but its job {job} has not ended yet")
        time.sleep(_LOOK_EVERY_S)
    return state


def _refuse_secrets(config: Config) -> None:
    """Refuse addresses that a job's files would show to whoever sees the dashboard."""
    told = {
        "data.path": config.data.path,
        "data.test_path": config.data.test_path,
        "study.ledger": config.study.ledger,
        "study.home": config.study.home,
        "tracking.uri": config.tracking.uri,
    }
    for key, value in told.items():
        if value and has_secrets(value):
            raise ConfigError(
                f"{key}: {hide_secrets(value)} holds a secret, which Ray's dashboard would show; set "
                "it where the cluster's nodes start (MLFLOW_TRACKING_URI, RAYSEARCH_LEDGER, AWS keys)"
            )
    if config.tracking.uri and config.tracking.uri.startswith("sqlite:"):
        raise ConfigError(
            f"tracking.uri: {config.tracking.uri} is a file of this machine; give a server's address, or "
            f"leave it out for a file on the cluster's head ({HOME}/mlflow.db)"
        )


def _packed(config: Config, folder: Path) -> Config:
    """Copy the files that a study needs to where they are uploaded from; return its settings with them."""
    tables = folder / "tables"
    changed: dict[str, str] = {}
    for key, role in (("path", "--data"), ("test_path", "--test")):
        given = getattr(config.data, key)
        if given is None or "://" in given.removeprefix("file://"):
            continue
        source = find_source(given, role)
        assert source.path is not None  # it has no scheme
        size = source.path.stat().st_size
        if size > MOST_MB * 1e6:
            raise DataError(
                f"{role}: {given} has {size / 1e6:.0f} MB, and a job takes {MOST_MB}; put it where the head "
                "reads it (s3://, https://) and give that address"
            )
        with source.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:12]
        tables.mkdir(exist_ok=True)
        name = f"{digest}-{source.path.name}"
        shutil.copyfile(source.path, tables / name)
        changed[key] = f"{_TABLES}/{name}"
    config = config.replace("data", **changed) if changed else config
    space = config.search.space
    if space and Path(space).is_file():
        shutil.copyfile(space, folder / "space.yaml")
        config = config.replace("search", space="space.yaml")
    return config


def _plain(config: Config) -> dict[str, object]:
    plain = json.loads(json.dumps(config.to_dict(), default=str))
    return {section: {k: v for k, v in values.items() if v is not None} for section, values in plain.items()}


def _entrypoint(words: Sequence[str], *, record: bool) -> str:
    """Return the shell command of a job: its tables go to where they outlive it."""
    lines = [f"mkdir -p {_TABLES}", f"if [ -d tables ]; then cp -n tables/* {_TABLES}/; fi"]
    if record:
        lines.append(f'export MLFLOW_TRACKING_URI="${{MLFLOW_TRACKING_URI:-{_RECORD}}}"')
    command = " ".join(word if word.startswith("~/") else shlex.quote(word) for word in words)
    return "; ".join(("set -e", *lines, f"exec python3 -m raysearch {command}"))
