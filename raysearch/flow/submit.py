"""``--submit``: a study runs on a cluster's head, as a job that needs its sender no more."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from raysearch.addresses import has_secrets, hide_secrets
from raysearch.config import Config
from raysearch.data.address import find_source
from raysearch.errors import ClusterError, ConfigError, DataError, Problems
from raysearch.study.home import free_name
from raysearch.study.jobs import HOME, MOST_MB, STOPS_WITHIN_S, Jobs, JobState, Sent

_TABLES = f"{HOME}/tables"
_RECORD = "sqlite:///$HOME/raysearch-studies/mlflow.db"
_LOOK_EVERY_S = 1.0
_AWAY_S = 120.0  # for which a head that does not answer is waited for
# A table is there whole or not at all: other jobs with the same one may run now.
_KEEP_TABLES = (
    'for table in tables/*; do kept="$HOME/raysearch-studies/$table"; '
    '[ -e "$kept" ] || { cp "$table" "$kept.$$"; mv "$kept.$$" "$kept"; }; done'
)
_TABLE_ROLES = {"--data": "path", "--test": "test_path"}
_T = TypeVar("_T")


def submit(config: Config, address: str, words: Sequence[str] = ()) -> Sent:
    """Send a new study to the cluster whose dashboard is at ``address``, with its table if that lies here.

    Args:
        words: more options of ``tune`` there, such as ``--json``.

    Raises:
        RaysearchError: the table is not there or too large, a setting makes no sense there, nobody answers.
    """
    study = config.study.name or free_name(f"{config.search.model}-{config.data.target}", ())
    home = _home(config.study.home)
    _refuse(
        {
            "--data": config.data.path,
            "--test": config.data.test_path,
            "--ledger": config.study.ledger,
            "--home": home,
            "--tracking-uri": config.tracking.uri,
        }
    )
    if config.compute.address is not None or config.compute.engine != "ray":
        raise ConfigError(
            "--submit: the study runs on the head's own cluster; leave out --address and --engine"
        )
    jobs = Jobs(address)
    with tempfile.TemporaryDirectory(prefix="raysearch-job-") as folder:
        there = _packed(config, Path(folder))
        there = there.replace("study", name=study, home=home).replace("compute", address="auto")
        # JSON is YAML in which every text is quoted: a column may be called 1e3.
        (Path(folder) / "job.yaml").write_text(json.dumps(_plain(there)), encoding="utf-8")
        record = config.tracking.uri is None
        entry = _entrypoint(["tune", "--config", "job.yaml", *words], record=record)
        return Sent(study, jobs.submit(study, home, entry, Path(folder)), address, home)


def submit_resume(
    name: str, address: str, home: str, options: Sequence[tuple[str, str]], words: Sequence[str] = ()
) -> Sent:
    """Go on with a study that lives on a cluster; a table that is given anew is sent, if it lies here.

    Args:
        options: those of ``resume`` that were given, with their values as text.
        words: more of them, without a value.
    """
    home = _home(home)
    given = dict(options)
    _refuse({"--home": home, **given})
    if "--address" in given or "--engine" in given:
        raise ConfigError(
            "--submit: the study runs on the head's own cluster; leave out --address and --engine"
        )
    jobs = Jobs(address)
    with tempfile.TemporaryDirectory(prefix="raysearch-job-") as folder:
        (Path(folder) / "job.yaml").write_text("{}\n")  # Ray takes no empty directory
        tables = {role: given[role] for role in _TABLE_ROLES if role in given}
        given |= _packed_tables(
            {role: at for role, at in tables.items() if not _may_lie_there(at)}, Path(folder)
        )
        command = ["resume", f"--home={home}", "--address=auto"]
        command += [f"{flag}={value}" for flag, value in given.items()]
        entry = _entrypoint([*command, *words, "--", name], record=False)  # the study knows where that is
        return Sent(name, jobs.submit(name, home, entry, Path(folder)), address, home)


def follow(sent: Sent, tell: Callable[[str], None]) -> JobState:
    """Tell each line that a job prints until it has ended; return how it ended.

    Raises:
        ClusterError: the head has not answered for two minutes; the job may go on.
    """
    jobs, told = Jobs(sent.address), 0
    while True:
        state = _answer(lambda: jobs.state(sent.job))  # before the log, so that its end is in it
        try:
            lines = _answer(lambda: jobs.log(sent.job)).split("\n")
        except ClusterError:
            if state.ended:
                return state  # its log went with its node
            raise
        whole = lines if state.ended and lines[-1] else lines[:-1]  # the last one has no end yet
        for line in whole[told:]:
            tell(line)
        told = max(told, len(whole))
        if state.ended:
            return state
        time.sleep(_LOOK_EVERY_S)


def stop(name: str, address: str) -> tuple[Sent, JobState]:
    """Interrupt the job that runs a study, so that it keeps its best model so far, and wait for its end.

    Raises:
        StudyError: no job runs such a study.
        ClusterError: nobody answers, or it has not ended in half an hour.
    """
    jobs = Jobs(address)
    sent, until = jobs.find(name), time.monotonic() + STOPS_WITHIN_S
    jobs.stop(sent.job)
    while not (state := _answer(lambda: jobs.state(sent.job))).ended:
        if time.monotonic() > until:
            raise ClusterError(f"study {name!r} was interrupted, but its job {sent.job} has not ended yet")
        time.sleep(_LOOK_EVERY_S)
    return sent, state


def _answer(ask: Callable[[], _T]) -> _T:
    """Return a head's answer; one that does not come is waited for."""
    until = time.monotonic() + _AWAY_S
    while True:
        try:
            return ask()
        except ClusterError:
            if time.monotonic() > until:
                raise
            time.sleep(_LOOK_EVERY_S)


def _home(given: str) -> str:
    return HOME if given == "studies" else given


def _refuse(told: dict[str, str | None]) -> None:
    """Refuse what a job would show to whoever sees the dashboard, and what would go with the job."""
    problems = Problems("--submit")
    for flag, value in told.items():
        if not value:
            continue
        if has_secrets(value):
            problems.add(
                f"{flag}: {hide_secrets(value)} holds a secret, which Ray's dashboard would show; set it "
                "where the cluster's nodes start (MLFLOW_TRACKING_URI, RAYSEARCH_LEDGER, AWS keys)"
            )
        relative = "is relative to the job's own directory, which goes with it"
        if value.startswith("sqlite:") and not value.startswith("sqlite:////"):
            fix = f"give sqlite:////PATH on the head, a server, or leave it out for a file in {HOME}"
            problems.add(f"{flag}: {value} {relative}; {fix}")
        if flag == "--home" and not value.startswith(("/", "~/")) and "://" not in value:
            fix = f"give an absolute path on the head, or leave it out for {HOME}"
            problems.add(f"{flag}: {value} {relative}; {fix}")
    problems.raise_as(ConfigError)


def _may_lie_there(address: str) -> bool:
    """Tell whether a table can be a file of the head's alone: a whole path that leads nowhere here."""
    local = url2pathname(urlsplit(address).path) if address.startswith("file://") else address
    return local.startswith(("/", "~")) and not Path(local).expanduser().exists()


def _packed(config: Config, folder: Path) -> Config:
    """Copy the files that a study needs to where they are uploaded from; return its settings with them."""
    given = {role: getattr(config.data, key) for role, key in _TABLE_ROLES.items()}
    there = _packed_tables({role: address for role, address in given.items() if address}, folder)
    changed = {_TABLE_ROLES[role]: address for role, address in there.items()}
    config = config.replace("data", **changed) if changed else config
    return config.replace("search", space=_packed_spaces(config, folder))


def _packed_tables(given: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Copy the tables that lie here, by role, to where they are uploaded from; return where they will be."""
    there: dict[str, str] = {}
    total = 0
    for role, address in given.items():
        if "://" in address.removeprefix("file://"):
            continue
        source = find_source(address, role)
        assert source.path is not None  # it has no scheme
        total += source.path.stat().st_size
        if total > MOST_MB * 1e6:
            raise DataError(
                f"{role}: with {address} there are {total / 1e6:.0f} MB to send, and a job takes {MOST_MB}: "
                "put it where the head reads it (s3://, https://) and give that address, or make it .parquet"
            )
        with source.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:12]
        (folder / "tables").mkdir(exist_ok=True)
        name = f"{digest}-{source.path.name}"
        shutil.copyfile(source.path, folder / "tables" / name)
        there[role] = f"{_TABLES}/{name}"
    return there


def _packed_spaces(config: Config, folder: Path) -> str | None:
    """Copy the search spaces that are files, for several models with commas; return their names there."""
    given = config.search.space or ""
    parts = [part.strip() for part in given.split(",")] if config.search.model == "both" else [given]
    names = []
    for place, part in enumerate(parts):
        if Path(part).expanduser().is_file():
            shutil.copyfile(Path(part).expanduser(), folder / f"space-{place}.yaml")
            part = f"space-{place}.yaml"
        names.append(part)
    return ",".join(names) or None


def _plain(config: Config) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(config.to_dict(), default=str))
    return {section: {k: v for k, v in values.items() if v is not None} for section, values in plain.items()}


def _entrypoint(words: Sequence[str], *, record: bool) -> str:
    """Return the shell command of a job: its tables go to where they outlive it."""
    lines = ["set -e", f"mkdir -p {_TABLES}", f"if [ -d tables ]; then {_KEEP_TABLES}; fi"]
    if record:
        lines.append(f'export MLFLOW_TRACKING_URI="${{MLFLOW_TRACKING_URI:-{_RECORD}}}"')
    return "; ".join((*lines, f"exec python3 -m raysearch {shlex.join(words)}"))
