"""An option that overrides a setting, and how a command gets such options."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer


@dataclass(frozen=True)
class Flag:
    """One option: its words, the setting it overrides, and how its text becomes that setting's value."""

    words: str
    setting: str
    kind: Any
    text: str
    panel: str
    convert: Callable[[Any], Any] | None = None

    @property
    def name(self) -> str:
        return self.setting.replace(".", "__")


def with_flags(flags: Sequence[Flag]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of ``flags``; it receives those that were given as ``flags``, by section."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapped(**given: Any) -> None:
            values = {flag.name: given.pop(flag.name) for flag in flags}
            command(flags=_sections(flags, values), **given)

        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "flags"]
        added = [
            inspect.Parameter(
                flag.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotate(flag)
            )
            for flag in flags
        ]
        wrapped.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
        wrapped.__annotations__ = {p.name: p.annotation for p in (*own, *added)}
        del wrapped.__wrapped__  # typer would read the signature behind it
        return wrapped

    return decorate


def _annotate(flag: Flag) -> Any:
    option = typer.Option(flag.words, help=flag.text, rich_help_panel=flag.panel, show_default=False)
    return Annotated[flag.kind | None, option]


def _sections(flags: Sequence[Flag], values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {}
    for flag in flags:
        value = values[flag.name]
        if value is None or value == []:
            continue
        section, key = flag.setting.split(".")
        sections.setdefault(section, {})[key] = flag.convert(value) if flag.convert else value
    return sections
