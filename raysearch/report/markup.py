"""The page itself: one template and one style for whatever is told on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import jinja2
from markupsafe import Markup

from raysearch.report.record import Section
from raysearch.report.wording import Sentence

_TEMPLATE = Path(__file__).parent / "template"


@dataclass(frozen=True)
class Card:
    """One headline figure."""

    name: str
    value: str
    detail: str
    tone: str = ""


@dataclass(frozen=True)
class Head:
    """What stands above the sections.

    Attributes:
        kicker: what kind of page it is.
        notes: what a reader must know.
        footer: a sentence at the end.
    """

    title: str
    kicker: str
    summary: Sequence[Sentence] = ()
    notes: Sequence[str] = ()
    cards: Sequence[Card] = ()
    footer: str = ""


@lru_cache(maxsize=1)
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.j2")


def render(head: Head, sections: Sequence[Section]) -> str:
    """Return a page that needs no other file and no network."""
    style = (_TEMPLATE / "style.css").read_text(encoding="utf-8")
    return _template().render(
        head=head,
        summary=[sentence for sentence in head.summary if sentence.text],
        sections=sections,
        style=Markup(style),  # our own file
        svg=Markup,  # what matplotlib wrote has every text escaped
        breakable=Markup("_<wbr>"),
    )
