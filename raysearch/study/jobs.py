"""Studies as Ray jobs: sent to a cluster's head over http, where they run without their sender."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysearch.addresses import hide_secrets, without_secrets
from raysearch.errors import ClusterError, StudyError, nearest

_STUDY, _HOME = "raysearch.study", "raysearch.home"  # in a job's metadata: what it runs, where that lives
HOME = "~/raysearch-studies"  # on the head: a job's own directory goes with it
# Ray ends a job with SIGTERM and, 3 s later, SIGKILL. An interrupted study keeps its best model so far.
STOPS_WITHIN_S = 1800  # to refit, evaluate, and write report and record
_STOP = {"RAY_JOB_STOP_SIGNAL": "SIGINT", "RAY_JOB_STOP_WAIT_TIME_S": str(STOPS_WITHIN_S)}
_ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
MOST_MB = 95  # Ray's dashboard takes 100 MiB in one upload
_ANSWERS_WITHIN_S = 30


@dataclass(frozen=True)
class Sent:
    """A study that was sent to a cluster.

    Attributes:
        address: of the cluster's dashboard, with its secrets.
        home: where the study lives there.
    """

    study: str
    job: str
    address: str
    home: str


@dataclass(frozen=True)
class JobState:
    """How a job is doing.

    Attributes:
        word: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
        exit_code: of the study's process, where it has ended by itself.
        message: what Ray has to say of it.
    """

    word: str
    exit_code: int | None
    message: str

    @property
    def ended(self) -> bool:
        return self.word in _ENDED


def _token() -> dict[str, str]:
    """Return the header with the cluster's token, where there is one.

    Ray sends it by itself only where RAY_AUTH_MODE was set before it was imported.
    """
    token = os.environ.get("RAY_AUTH_TOKEN", "")
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if not token and file.is_file():
        token = file.read_text().strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


class Jobs:
    """The jobs of the cluster whose dashboard is at ``address``, e.g. http://10.0.0.11:8265.

    Raises:
        ClusterError: nobody answers there, or not without the cluster's token.
    """

    def __init__(self, address: str) -> None:
        self.address = hide_secrets(address)
        if not address.startswith(("http://", "https://")):
            raise ClusterError(
                f"--submit {self.address}: give the dashboard's address, such as http://10.0.0.11:8265"
            )
        logging.getLogger("ray").setLevel(logging.ERROR)
        from ray.job_submission import JobSubmissionClient

        self._secret_address = address
        with self._told():
            self._client = JobSubmissionClient(address, headers=_token())
            # Ray's own waits for ever for a head that vanishes in the midst of an answer.
            ask = self._client._do_request
            self._client._do_request = functools.partial(ask, timeout=_ANSWERS_WITHIN_S)

    def submit(self, study: str, home: str, entrypoint: str, folder: Path) -> str:
        """Run a shell command, which runs a study, in a copy of ``folder`` on the head; return the job's id.

        Raises:
            StudyError: a job runs that study already.
        """
        if self._running(study):
            raise StudyError(f"study {study!r} is being run by a job at {self.address} already")
        with self._told():
            return str(
                self._client.submit_job(
                    entrypoint=entrypoint,
                    runtime_env={"working_dir": str(folder), "env_vars": _STOP},
                    metadata={_STUDY: study, _HOME: home},
                )
            )

    def find(self, study: str) -> Sent:
        """Return the job that runs a study now.

        Raises:
            StudyError: none does.
        """
        running = self._running(study)
        if not running:
            known = sorted({sent.study for sent in self._studies()})
            told = f"; running: {', '.join(known)}" if known else ""
            raise StudyError(f"no job at {self.address} runs a study {study!r}{told}{nearest(study, known)}")
        return running[-1]

    def state(self, job: str) -> JobState:
        """Return how a job is doing."""
        with self._told():
            found = self._client.get_job_info(job)
        return JobState(
            str(getattr(found.status, "value", found.status)), found.driver_exit_code, found.message or ""
        )

    def log(self, job: str) -> str:
        """Return all that a job has printed so far."""
        with self._told():
            return str(self._client.get_job_logs(job))

    def stop(self, job: str) -> None:
        """Interrupt a job, as Ctrl-C does."""
        with self._told():
            self._client.stop_job(job)

    def _running(self, study: str) -> list[Sent]:
        return [sent for sent in self._studies() if sent.study == study]

    def _studies(self) -> list[Sent]:
        """Return the studies that run, the oldest first."""
        with self._told():
            jobs: list[Any] = [job for job in self._client.list_jobs() if job.submission_id]
        running = [job for job in jobs if str(getattr(job.status, "value", job.status)) not in _ENDED]
        running.sort(key=lambda job: job.start_time or 0)
        named = [(job, job.metadata or {}) for job in running]
        return [
            Sent(about[_STUDY], job.submission_id, self._secret_address, about.get(_HOME, HOME))
            for job, about in named
            if _STUDY in about
        ]

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            reason = without_secrets(" ".join(str(error).split()), self._secret_address)[:300]
            reason = reason or type(error).__name__
            if type(error).__name__ == "AuthenticationError" or re.search(r"status code 40[13]\b", reason):
                reason = (
                    "it wants the cluster's token: put it in ~/.ray/auth_token (`ray get-auth-token` prints "
                    "it on the head), or into RAY_AUTH_TOKEN with RAY_AUTH_MODE=token"
                )
            raise ClusterError(f"--submit {self.address}: {reason}") from error
