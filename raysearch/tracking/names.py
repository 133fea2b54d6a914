"""Names and texts as MLflow's stores accept them."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Any

from raysearch.addresses import hide_secrets

# Limits of MLflow's own validation. Tags that go in with create_run are not cut by MLflow, and PostgreSQL
# refuses longer ones.
MAX_KEY = 250
MAX_PARAM = 6000
MAX_TAG = 8000
_HASH_CHARS = 6
_ILLEGAL = re.compile(r"[^/\w.\- :]")


def metric_key(name: str) -> str:
    """Return a key for a metric or a param that MLflow accepts, always the same for the same name.

    The first ``=`` becomes ``:``, so that ``coverage/store=North`` reads ``coverage/store:North``; slashes
    after it would open further sections in the UI and become ``_`` like every other illegal character. Where
    the way back is lost, a few characters of a hash keep different names different.
    """
    head, equals, value = name.partition("=")
    ambiguous = bool(equals) and (":" in name or "=" in value or "/" in value)
    legible = head + ":" + re.sub(r"[/=]", "_", value) if equals else name
    # Accents that stand alone are illegal; composed with their letter they are letters.
    key = _ILLEGAL.sub("_", unicodedata.normalize("NFC", legible))
    # A key must be a normal relative path: no empty, '.' or '..' part.
    key = "/".join("_" * max(len(part), 1) if part in ("", ".", "..") else part for part in key.split("/"))
    if not ambiguous and key == legible and len(key) <= MAX_KEY:
        return key
    mark = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_CHARS]
    return f"{key[: MAX_KEY - _HASH_CHARS - 1]}_{mark}"


def text(value: Any, most: int) -> str:
    """Return ``value`` in words, at most ``most`` characters, without what databases refuse."""
    words = hide_secrets(str(value)).replace("\0", "").encode("utf-8", "replace").decode("utf-8")
    return words if len(words) <= most else words[: most - 1] + "…"
