"""The README keeps its word: links lead somewhere, commands parse, flags and settings exist."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
import typer
import yaml

from raysearch.cli import app

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands


def marked(name: str) -> str:
    """Return the marked command as CI finds it."""
    script = (ROOT / ".ci" / "run").read_text()
    function = script[script.index("readme_command()") : script.index("\n}\n") + 3]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{function}readme_command {name}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def told_commands() -> list[str]:
    """Return all `python -m raysearch ...` in code blocks and table cells, without their comments."""
    texts = [line for block in blocks("bash") for line in block.splitlines()]
    texts += re.findall(r"`(python -m raysearch [^`]*)`", README)
    found = [text[text.index("-m raysearch ") + 13 :] for text in texts if "-m raysearch " in text]
    return [command.partition("  #")[0].strip() for command in found]


@pytest.mark.parametrize("name", ["tune", "test"])
def test_a_marked_command_is_one_line_of_bash(name):
    command = marked(name)
    assert command.startswith("python3 -m venv .venv && .venv/bin/pip install")
    assert "\n" not in command
    subprocess.run(["bash", "-n", "-c", command], check=True)
    for word in shlex.split(command):
        if word.endswith(".txt"):
            assert (ROOT / word).is_file()


def test_the_marked_commands_run_the_main_job_and_the_tests():
    assert marked("tune").endswith("-m raysearch tune --model lightgbm")
    assert marked("test").endswith('-m pytest -n 2 -m "not slow" && .venv/bin/python -m pytest -m slow')


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)", README))))
def test_a_relative_link_leads_somewhere(link):
    assert "://" in link or (ROOT / link).exists()


@pytest.mark.parametrize("command", sorted(set(told_commands())))
def test_a_told_command_parses(command):
    words = shlex.split(command.replace("...", ""))
    own = COMMANDS[words[0]]
    with click.Context(own) as context:
        own.make_parser(context).parse_args(words[1:])


def test_told_flags_exist():
    flags = {name for command in COMMANDS.values() for param in command.params for name in param.opts}
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README))
    assert told - flags <= {
        "--quiet",
        "--seeds",
        "--only",
        "--rows",
        "--hosts",
    }  # pip's, and those of the benchmarks


def test_told_settings_exist():
    defaults = yaml.safe_load((ROOT / "config" / "default.yaml").read_text())
    settings = re.findall(r"--set (\w+)\.(\w+)=", README)
    assert settings
    assert all(key in defaults[section] for section, key in settings)


def test_every_setting_has_a_flag_or_is_told_in_the_defaults():
    """A key of config/default.yaml without a word beside it would be a riddle."""
    lines = (ROOT / "config" / "default.yaml").read_text().splitlines()
    keys = [line for line in lines if re.match(r"^  \w+:", line)]
    assert keys
    assert all("#" in line for line in keys)


@pytest.mark.parametrize("block", blocks("python"))
def test_told_python_compiles(block):
    compile(block, "README.md", "exec")
