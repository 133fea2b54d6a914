"""Configuration files, the shipped ones and odd ones of users."""

from __future__ import annotations

import math
import re

import pytest
import yaml

from raysearch.config import load_config
from raysearch.errors import ConfigError
from raysearch.shipped import shipped


def message(*, file, flags=None):
    with pytest.raises(ConfigError) as caught:
        load_config(file, flags=flags)
    return str(caught.value)


def test_a_file_that_is_not_there():
    assert "no config file 'nav_basline'; give a YAML file or one of the shipped" in message(
        file="nav_basline"
    )
    assert "did you mean 'nav_baseline'?" in message(file="nav_basline")
    assert "no config file" in message(file="/nowhere/x.yaml")


def test_a_shipped_file_by_name():
    assert load_config("mlflow").tracking.uri == "http://127.0.0.1:5000"
    assert load_config("mlflow").data.builtin == "factor_nav"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"search: [1, 2]", "expected sections with keys below them"),
        (b"just words", "expected sections"),
        (b"- a\n- b\n", "expected sections"),
        (b"search: {trials: 5", "is not valid YAML"),
        (b"\xff\xfe\x00s", "is not valid YAML"),
        (b"a\tb: \t- c\n\t", "is not valid YAML"),
        (b"search:\n  trials: 5\nsearch:\n  seed: 1\n", "the key 'search' stands twice (line 3)"),
        (b"search:\n  trials: 5\n  trials: 6\n", "the key 'trials' stands twice (line 3)"),
        (b"1: {2: 3}", "unknown section '1'"),
        (b"search: {1: 3, null: 4}", "unknown key 'search.None'"),
        (b"search: {trials: !!python/object:os.system x}", "is not valid YAML"),
        (b"search: {trials: 2024-99-99}", "is not valid YAML: month must be in 1..12"),
        (b"search: {? [a] : 3}", "is not valid YAML"),
        (b"search: {trials: &a [*a]}", "must be a whole number"),
        (b"search: {trials: " + b"[" * 3000 + b"]" * 3000 + b"}", "is not valid YAML"),
        (
            b"data: {target: 2024-01-01}",
            "data.target: got datetime.date(2024, 1, 1), must be a text; put it in q",
        ),
        (b"data: {target: yes}", "data.target: got True, must be a text"),
        (b"a: &a [x, x]\nb: &b [*a, *a]\nsearch: {trials: [*b, *b]}\n", "expected sections"),
    ],
)
def test_weird_files(tmp_path, content, told):
    file = tmp_path / "own.yaml"
    file.write_bytes(content)
    text = message(file=file, flags={})
    assert told in text
    assert len(text) < 2000


@pytest.mark.parametrize("content", ["", "# nothing\n", "---\n", "search:\n", "data: {}\n"])
def test_files_that_set_nothing(tmp_path, content):
    file = tmp_path / "own.yaml"
    file.write_text(content, encoding="utf-8")
    assert load_config(file) == load_config()


def test_a_folder_is_no_file(tmp_path):
    assert "no config file" in message(file=tmp_path)


def test_every_default_has_its_meaning_beside_it():
    text = (shipped("config") / "default.yaml").read_text(encoding="utf-8")
    keys = [line for line in text.splitlines() if re.match(r"  \w+:", line)]
    assert len(keys) == sum(len(part) for part in yaml.safe_load(text).values())
    for line in keys:
        assert re.search(r"  ?# \w", line), line


def test_the_defaults_are_complete_and_hold_nothing_else():
    plain = yaml.safe_load((shipped("config") / "default.yaml").read_text(encoding="utf-8"))
    known = load_config().to_dict()
    assert {s: list(part) for s, part in plain.items()} == {s: list(part) for s, part in known.items()}


@pytest.mark.parametrize("path", sorted(shipped("config").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_file_is_accepted(path):
    config = load_config(path)
    assert config.search.levels == (0.05, 0.25, 0.5, 0.75, 0.95)
    assert math.isclose(config.split.test_size, 0.2)
