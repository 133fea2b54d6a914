"""What a study's record must hold beside its trials, on disk until MLflow has all of it.

The trials are in the ledger. Both together are what ``sync`` sends when the store was away at the end, or the
process was killed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from raysearch.addresses import hide_secrets
from raysearch.errors import TrackingError
from raysearch.records import StudyResult
from raysearch.records.plain import from_plain, to_plain
from raysearch.tracking.tracker import StudyInfo
from raysearch.whole_file import write_whole


@dataclass(frozen=True)
class Outbox:
    """What a study has to tell.

    Attributes:
        uri, experiment: where the record is, without secrets.
        status: FINISHED, FAILED or KILLED; None: it has not ended, or was killed.
        history: what later studies may use; empty: nothing.
        sent: the store has all of it.
    """

    info: StudyInfo
    uri: str
    experiment: str
    status: str | None = None
    result: StudyResult | None = None
    history: str = ""
    sent: bool = False

    def write(self, path: Path) -> None:
        """Write it whole or not at all, without secrets."""
        write_whole(path, json.dumps(to_plain(_clean(self)), ensure_ascii=False, default=str))


def read_outbox(path: Path) -> Outbox | None:
    """Return what lies there; None: the study was made without a record.

    Raises:
        TrackingError: it is damaged.
    """
    try:
        return from_plain(Outbox, json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise TrackingError(f"{path} is damaged: {error}") from None


def _clean(outbox: Outbox) -> Outbox:
    config = {
        section: {
            key: hide_secrets(value) if isinstance(value, str) else value for key, value in values.items()
        }
        for section, values in outbox.info.config.items()
    }
    return replace(outbox, info=replace(outbox.info, config=config), uri=hide_secrets(outbox.uri))
