"""What works for which kind of data, over all studies of a store: as tables for the terminal and the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raysearch.history import Kind, ParameterAgreement, PastStudy
from raysearch.history.kinds import gain_percent
from raysearch.objectives import titles
from raysearch.report.markup import Head, render
from raysearch.report.record import Section
from raysearch.report.tables import Row, Table, replacing
from raysearch.report.wording import DASH, LIBRARIES, Sentence, number, percent, points, several

_SPLITS = {"time": "in time", "group": "by group", "random": "at random"}
_TOLD = (
    "Gains are those of the best trial on the untuned default, on validation rows, by which it was chosen: "
    "on new rows they are smaller."
)
_AGREE = "agree"


def overview(kinds: Sequence[Kind]) -> Table:
    """One row a kind of data: how many studies, what they gained, and the best parameters found."""
    rows = []
    for kind in kinds:
        best = kind.best.points[0]
        gain = gain_percent(best.ratio)
        cells = (
            *_named(kind),
            number(len(kind.studies)),
            f"{points(kind.gain_percent)} %",
            f"{points(gain)} %",
            kind.best.study,
            params_words(best.params),
        )
        rows.append(Row(cells))
    head = ("rows", "split", "library", "studies", "median gain", "best gain", "best study", "its best point")
    return Table("What works for which kind of data", head, tuple(rows), frozenset({0, 1, 2, 6, 7}), _TOLD)


def parameters(kind: Kind) -> Table:
    """One row a parameter: what the best points of the kind's studies have, and whether they agree."""
    rows = [
        Row(
            (
                one.name,
                DASH if one.importance is None else percent(one.importance),
                number(one.middle),
                _between(one),
                DASH if one.spread is None else percent(one.spread),
                _AGREE if one.agree else "",
            ),
            "good" if one.agree else "",
        )
        for one in kind.parameters
    ]
    head = ("parameter", "importance", "median or commonest", "from, to", "spread", "studies")
    note = (
        "Of the best point of each study; of eight or more without the outer eighths. The spread is "
        "a share of what was searched; of choices the share of studies with another one. Studies agree where "
        "chance would put points so near together in less than one of twenty cases."
    )
    return Table("Parameters", head, tuple(rows), frozenset({0, 5}), note)


def agreement_words(kind: Kind) -> str:
    """Return in a line which parameters matter, and on which values the studies agree."""
    matter = [f"{one.name} {percent(one.importance, 0)}" for one in kind.parameters[:3] if one.importance]
    told = f"matters most: {', '.join(matter)}" if matter else "what matters most is not known"
    if len(kind.studies) < 2:
        return f"{told}; a single study"
    agreed = [f"{one.name} {_near(one)}" for one in kind.parameters if one.agree]
    return f"{told}; {_AGREE}: {', '.join(agreed)}" if agreed else f"{told}; the studies do not agree"


def title(kind: Kind) -> str:
    """Return the kind of data and the library in words."""
    size, split, library = _named(kind)
    return f"{size}{'' if 'rows' in size else ' rows'} {split}, {library}"


def params_words(params: Any) -> str:
    """Return parameters in a line."""
    return ", ".join(f"{name}={number(value)}" for name, value in params.items())


def write_history(kinds: Sequence[Kind], studies: int, address: str, path: Path) -> None:
    """Write the page; it needs no other file and no network.

    Args:
        studies: of the store that left something behind.
        address: the store's, without secrets.

    Raises:
        OSError: if the file cannot be written.
    """
    sections = [Section("kinds", "By kind of data", tables=(overview(kinds),))]
    for position, kind in enumerate(kinds):
        words = agreement_words(kind)
        tables = (parameters(kind), _studies(kind))
        sections.append(
            Section(f"kind{position}", title(kind), f"{words[0].upper()}{words[1:]}.", tables=tables)
        )
    told = f"{several(studies, 'study', 'studies')} recorded at {address}, in {several(len(kinds), 'kind')}."
    head = Head(
        "What works for which kind of data",
        "raysearch history",
        (Sentence(told),),
        footer="Written by raysearch. A gain is by how much a score lies below the untuned default's.",
    )
    with replacing(path) as temporary:
        temporary.write_text(render(head, sections), encoding="utf-8", errors="replace")


def _studies(kind: Kind) -> Table:
    rows = tuple(Row(_study(study)) for study in kind.studies)
    head = (
        "study", "table", "target", "rows", "columns", "noise", "default to constant", "gain, validation",
        "gain, test", "best parameters",
    )  # fmt: skip
    return Table("Studies", head, rows, frozenset({0, 1, 2, 9}))


def _study(study: PastStudy) -> tuple[str, ...]:
    features, tested = study.features, study.gain_percent is not None and study.part == "test"
    return (
        study.study,
        study.table,
        study.target,
        number(features.rows),
        number(features.columns),
        number(features.noise, 2),
        number(study.default_to_constant, 3),
        f"{points(gain_percent(study.points[0].ratio))} %",
        f"{points(study.gain_percent or 0.0)} %" if tested else DASH,
        params_words(study.points[0].params),
    )


def _named(kind: Kind) -> tuple[str, str, str]:
    library = LIBRARIES.get(kind.model, kind.model)
    if kind.objective != "pinball":
        library += f", by {titles((kind.objective,))[kind.objective]}"
    return kind.size, _SPLITS[kind.split], library


def _between(one: ParameterAgreement) -> str:
    return DASH if one.low is None else f"{number(one.low)} to {number(one.high)}"


def _near(one: ParameterAgreement) -> str:
    return number(one.middle) if one.low is None else _between(one)
