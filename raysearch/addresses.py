"""Addresses without their secrets: what is told of them, and what is kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

HIDDEN = "***"
_BEGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # two letters at least: C:// is a drive
_WITHIN = re.compile(_BEGIN.pattern + r"\S*")
_WEB = ("http", "https")
# What stands before the first slash is a host with its port; everywhere else a password may hold a slash, as
# the secrets of S3 do.
_HOSTED = (*_WEB, "hdfs", "viewfs", "webhdfs", "ftp", "sftp", "ssh", "smb")
_HARMLESS = frozenset((
    # where files lie
    "endpoint_override", "region", "scheme", "allow_bucket_creation", "allow_bucket_deletion", "anonymous",
    "version", "versionid", "raw", "download", "dl", "format",
    # servers of databases
    "charset", "client_encoding", "application_name", "connect_timeout", "target_session_attrs", "host",
    "port", "dbname", "database", "user", "driver", "encrypt", "ssl", "sslmode", "sslrootcert", "gssencmode",
    "trusted_connection", "trustservercertificate",
    # SQLite
    "mode", "cache", "timeout", "uri", "check_same_thread", "isolation_level", "nolock", "immutable",
))  # fmt: skip
_PLAIN = re.compile(r"[\w.,:/+\[\] -]*")
_SEARCH_PATH = re.compile(r"-c ?search_path=[\w,]+")
_Part = tuple[str, bool]  # a piece of an address, and whether it is secret


def hide_secrets(text: str) -> str:
    """Return an address with ``***`` in place of what is secret in it; any other text as it is.

    Secret are the password, a user that stands alone at a web address (a token), and the values of the query
    except for a few names that are known to be harmless. Addresses within a text are found up to a blank.
    """
    if _BEGIN.match(text):
        return _shown(text)
    return _WITHIN.sub(lambda found: _shown(found[0]), text)


def has_secrets(address: str) -> bool:
    """Tell whether an address holds something secret."""
    return hide_secrets(address) != address


def is_incomplete(address: str | None) -> bool:
    """Tell whether ``hide_secrets`` has taken something out of an address, so that it cannot be used."""
    return address is not None and any(part == HIDDEN for part in secrets_of(address))


def secrets_of(address: str) -> list[str]:
    """Return what is secret in an address, as it is written there."""
    return [part for part, secret in _parts(address) if secret]


def without_secrets(text: str, address: str) -> str:
    """Return a library's words on an address without what is secret in it, however they quote it."""
    secrets = set(secrets_of(address))
    secrets |= {unquote(secret) for secret in secrets}
    # A library that splits the address elsewhere quotes a piece of the password.
    secrets |= {piece for secret in secrets for piece in re.split("[@/:?#&=]", secret) if len(piece) > 3}
    secrets |= {quote(secret, safe="") for secret in secrets}
    text = text.replace(address, hide_secrets(address)) if address else text
    for secret in sorted(secrets - {"", HIDDEN}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return hide_secrets(text)


def below(address: str, name: str) -> str:
    """Return the address of ``name`` below an address, whose query stays at the end."""
    begin, mark, query = address.partition("?") if _BEGIN.match(address) else (address, "", "")
    return f"{begin.rstrip('/')}/{name}{mark}{query}"


def _shown(address: str) -> str:
    return "".join(HIDDEN if secret else part for part, secret in _parts(address))


def _parts(address: str) -> Iterator[_Part]:
    """Take an address apart; the parts in a row are the address."""
    found = _BEGIN.match(address)
    if found is None:
        yield address, False
        return
    names = found[0][:-3].lower().split("+")  # postgresql+psycopg, git+https
    kind = names[-1] if names[-1] in _WEB else names[0]
    yield found[0], False
    rest = address[found.end() :]
    end = _end_of_user(kind, rest)
    if end >= 0:
        yield from _user_parts(kind, rest[:end])
        rest = rest[end:]
    path = re.split("[?#]" if kind in _WEB else "[?]", rest, maxsplit=1)[0]
    yield path, False
    for part in re.split("([?&#])" if kind in _WEB else "([?&])", rest[len(path) :]):
        yield from _query_parts(part)


def _end_of_user(kind: str, rest: str) -> int:
    """Return where the ``@`` behind user and password stands; -1 where there is none."""
    host = re.split("[/?#]", rest, maxsplit=1)[0]
    before_query = rest.partition("?")[0]
    name, at, _ = host.partition("@")
    if at:
        password = ":" in name
        return before_query.rfind("@") if password and kind not in _HOSTED else host.rfind("@")
    _, colon, port = host.partition(":")
    numbered = not port or port.isdigit()
    if not colon or host.startswith("[") or (kind in _HOSTED and numbered):
        return -1
    # A password that is not encoded as it should be: it holds the mark that ends the host.
    if "@" in before_query:
        return before_query.rfind("@")
    return -1 if numbered else rest.find("@")


def _user_parts(kind: str, user: str) -> Iterator[_Part]:
    name, colon, password = user.partition(":")
    token = kind in _WEB and password in ("", "x-oauth-basic")
    yield name, token and bool(name)
    yield colon, False
    yield password, bool(password)


def _query_parts(item: str) -> Iterator[_Part]:
    """Take one ``name=value`` of a query apart; a name alone may be a token."""
    name, equals, value = item.partition("=")
    known = unquote(name).lower()
    plain = unquote(value)
    if known == "options":
        harmless = _SEARCH_PATH.fullmatch(plain) is not None
    else:
        harmless = known in _HARMLESS and _PLAIN.fullmatch(plain) is not None
    if item in ("", "?", "&", "#") or harmless:
        yield item, False
    elif equals:
        yield f"{name}=", False
        yield value, bool(value)
    else:
        yield item, True
