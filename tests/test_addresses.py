"""What is secret in an address is never told, and an address without secrets stays as it is."""

from __future__ import annotations

import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysearch.addresses import below, has_secrets, hide_secrets, is_incomplete, without_secrets

PRINTABLE = "".join(letter for letter in string.printable if letter.isprintable()) + "éß東"
SECRETS = st.text(PRINTABLE, min_size=1, max_size=40).map(lambda text: f"Q7{text}7Q")
KEYS_OF_S3 = st.text(string.ascii_letters + string.digits + "/+=", min_size=1, max_size=40).map(
    "Q7{}7Q".format
)
PASSWORDS = (
    "postgresql+psycopg://me:{}@host:5432/db?sslmode=require",
    "mysql://me:{}@host/db",
    "http://me:{}@tracking.example:5000/mlflow",
    "https://:{}@host/t.csv",
    "s3://AK:{}@bucket/home?region=eu",
    "redis://:{}@host",
)
TOKENS = ("https://{}@host/t.csv", "http://{}@[::1]:5000", "git+https://{}@host/x", "https://{}:@host/t.csv")
QUERIES = (
    "postgresql://h/db?user=u&password={}",
    "postgresql://h:5432/db?password={}&sslmode=require",
    "https://host/t.csv?X-Amz-Signature={}",
    "https://host/t.csv?region=eu&sig={}&raw=1#x",
    "https://host/t.csv?{}",
    "s3://bucket/home?endpoint_override=host:9000&token={}",
    "sqlite:////data/t.db?key={}",
)


@given(st.sampled_from((*PASSWORDS, *TOKENS, *QUERIES)), SECRETS)
def test_no_secret_is_told(address, secret):
    encoded = quote(secret, safe="")
    whole = address.format(encoded)
    told = hide_secrets(whole)
    assert "Q7" not in told and "7Q" not in told
    assert encoded not in told
    assert hide_secrets(told) == told
    assert has_secrets(whole) and is_incomplete(told) and not has_secrets(told)
    for words in (f"cannot open {whole}", f"no host {secret!r}: {secret} or {encoded}", f"({whole})"):
        assert secret not in without_secrets(words, whole)
        assert encoded not in without_secrets(words, whole)
    assert encoded not in hide_secrets(f"see {whole} and more")


@given(st.sampled_from(("s3://AK:{}@bucket/t.csv", "postgresql://me:{}@h/db?sslmode=allow")), KEYS_OF_S3)
def test_a_secret_with_slashes_as_it_is_written_is_not_told(address, secret):
    told = hide_secrets(address.format(secret))
    assert told == address.format("***")


@given(SECRETS)
def test_a_password_that_is_not_encoded_is_not_told(secret):
    for address in ("postgresql://me:{}@host/db", "s3://AK:{}@bucket/t.csv"):
        whole = address.format(secret.replace("&", "").replace("=", ""))
        told = hide_secrets(whole)
        assert "Q7" not in told
        assert told.endswith(("@host/db", "@bucket/t.csv", "?***"))


@pytest.mark.parametrize(
    "address",
    [
        "sales.csv",
        "/data/a@b:c/t.csv?x",
        "C:\\data\\a:b@c.csv",
        "C://data/a:b@c.csv",
        "mail me@home",
        "s3://bucket/folder/t.csv",
        "s3://bucket/a:b@c.csv",
        "s3://bucket?endpoint_override=http://127.0.0.1:9000&region=eu-west-1",
        "s3://bucket?endpoint_override=127.0.0.1%3A9000&scheme=http",
        "abfs://container@account.dfs.core.windows.net/t@x:1.csv",
        "hdfs://node:8020/user/a@b.csv",
        "https://host:8443/a@b.csv?raw=true",
        "http://[::1]:5000/x@y",
        "http://[::1",
        "sqlite:///file.db",
        "sqlite:////abs/a@b:c.db?mode=ro",
        "postgresql+psycopg://user@host:5432/db?sslmode=require&application_name=my%20search",
        "postgresql://me@h/db?options=-csearch_path%3Draysearch",
        "file:///data/t.csv",
        "",
        "://",
    ],
)
def test_an_address_without_secrets_stays_as_it_is(address):
    assert hide_secrets(address) == address
    assert not has_secrets(address)
    assert not is_incomplete(address)


@given(st.text())
def test_any_text_can_be_asked(text):
    told = hide_secrets(text)
    assert hide_secrets(told) == told
    if "://" not in text:
        assert told == text


def test_what_is_harmless_by_name_is_not_told_where_it_holds_more():
    assert (
        hide_secrets("postgresql://me@h/db?options=-cmy.key%3DSECRET") == "postgresql://me@h/db?options=***"
    )
    assert hide_secrets("s3://b?endpoint_override=http%3A%2F%2Fu%3Ap%40h") == "s3://b?endpoint_override=***"


def test_nothing_lacks_in_no_address():
    assert not is_incomplete(None)
    assert is_incomplete("https://***@host/t.csv")


def test_a_piece_of_a_password_that_a_library_takes_for_a_port_is_not_told():
    assert "SECR" not in without_secrets("no port 'SECR'", "s3://AK:SECR/ET+@bucket/t.csv")


def test_a_path_is_put_before_the_query():
    assert below("s3://bucket/home?region=eu", "a/model") == "s3://bucket/home/a/model?region=eu"
    assert below("s3://bucket", "a") == "s3://bucket/a"
    assert below("studies?", "a") == "studies?/a"
