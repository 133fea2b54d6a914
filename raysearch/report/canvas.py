"""Figures without global state: drawn once, given as inline SVG in the page's colours and as PNG."""

from __future__ import annotations

import io
import math
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from raysearch.report.wording import display_width, number, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Grid = Literal["both", "x", "y", "none"]
DPI = 144
# These four become CSS variables in the SVG, so that one drawing serves light, dark and print.
INK, MUTED, GRID, PAPER = "#1c2530", "#667080", "#dfe3ea", "#fefefe"
_VARIABLES = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", PAPER: "var(--card)"}
# These are told apart by the colour-blind and stand out on white as on black.
BLUE, ORANGE, RED, GREEN, GREY = "#3b7ddd", "#e8870e", "#d9484f", "#1f9d74", "#98a2b3"

_WIDE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans", "Source Han Sans SC", "WenQuanYi Zen Hei",
    "PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Malgun Gothic", "Arial Unicode MS",
)  # fmt: skip
_MISSING = "□"
# matplotlib reads these settings while it draws; the lock keeps reports of several threads apart.
_LOCK = threading.Lock()
_TAG = re.compile(r"<[^<>]*>")
_IDENTIFIER = re.compile(r'(\bid="|url\(#|href="#)')
_PROLOGUE = re.compile(r"^.*?(?=<svg)|<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)


@dataclass(frozen=True)
class Plot:
    """One finished plot.

    Attributes:
        caption: one sentence on how to read it.
        alt: what it shows, for those who cannot see it.
    """

    name: str
    title: str
    caption: str
    alt: str
    wide: bool
    svg: str
    png: bytes


def load_plots() -> None:
    """Import what draws, and look through the fonts: the first plot need not."""
    import matplotlib.backends.backend_agg
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401

    _installed_fonts()


class Sheet:
    """A figure in the making; every text that a user controls goes through ``label``."""

    def __init__(self, height: float, *, wide: bool = False) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.wide = wide
        self.size = (11.0 if wide else 5.4, height)
        self.figure: Figure = Figure(figsize=self.size, dpi=DPI, facecolor="none")
        FigureCanvasAgg(self.figure)
        self._stand_ins: dict[str, str] = {}

    def axes(self, left: float, bottom: float, width: float, height: float, *, grid: Grid = "both") -> Axes:
        """Add plain axes at a place given in inches from the lower left."""
        wide, high = self.size
        axes = self.figure.add_axes((left / wide, bottom / high, width / wide, height / high))
        axes.set_facecolor("none")
        axes.set_axisbelow(True)
        if grid != "none":
            axes.grid(True, axis=grid, color=GRID, linewidth=0.8)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(GRID)
        axes.tick_params(colors=MUTED, labelsize=9, length=0, pad=5)
        return axes

    def label(self, text: object, most: int = 26) -> str:
        """Return a text fit for matplotlib: short, no mathematics, and only glyphs that its font has.

        Letters that the font lacks are drawn as others of a like width and put back in the SVG, where the
        reader's browser has fonts for them.
        """
        clean = "".join(letter if letter.isprintable() else " " for letter in str(text)).strip() or "(empty)"
        known, pool = _glyphs(), _stand_in_pool()
        out = []
        for letter in shorten(clean, most):
            if ord(letter) in known and letter not in pool:
                out.append(letter)
                continue
            if letter not in self._stand_ins and len(self._stand_ins) < len(pool):
                self._stand_ins[letter] = pool[len(self._stand_ins)]
            out.append(self._stand_ins.get(letter, _MISSING))
        return "".join(out).replace("$", r"\$")

    def finish(self, name: str, title: str, caption: str, alt: str) -> Plot:
        """Render both forms; the sheet cannot be drawn on afterwards."""
        svg = self._svg(name)
        return Plot(name, title, caption, alt, self.wide, svg, self._png(title))

    def _svg(self, name: str) -> str:
        buffer = io.BytesIO()
        with _LOCK, _settings({"svg.fonttype": "none", "svg.hashsalt": name}):
            self.figure.savefig(buffer, format="svg", dpi=DPI, metadata={"Date": None})
        svg = _PROLOGUE.sub("", buffer.getvalue().decode("utf-8"))
        # Only tags are rewritten: a column may well be called #dfe3ea.
        svg = _TAG.sub(lambda tag: _rewrite(tag.group(), name), svg)
        for letter, stand_in in self._stand_ins.items():
            svg = svg.replace(stand_in, letter)
        return svg

    def _png(self, title: str) -> bytes:
        """Return the same figure with its title above: alone in a folder it must say what it is."""
        self._restore_letters()
        (width, height), room = self.size, 0.42
        share = height / (height + room)
        for axes in self.figure.axes:
            box = axes.get_position()
            axes.set_position((box.x0, box.y0 * share, box.width, box.height * share))
        self.figure.set_size_inches(width, height + room)
        top = 1 - 0.14 / (height + room)
        left = 0.12 / width
        self.figure.text(left, top, title, fontsize=11.5, fontweight="bold", color=INK, va="top")
        buffer = io.BytesIO()
        with _LOCK:
            self.figure.savefig(
                buffer, format="png", dpi=DPI, facecolor="white", pil_kwargs={"compress_level": 3}
            )
        return buffer.getvalue()

    def _restore_letters(self) -> None:
        """Put the true letters back where a font of this machine has them, else an empty box."""
        if not self._stand_ins:
            return
        from matplotlib.text import Text
        from matplotlib.ticker import FixedFormatter

        families, known = _installed_fonts()
        back = {s: (k if ord(k) in known else _MISSING) for k, s in self._stand_ins.items()}
        table = str.maketrans(back)
        for axes in self.figure.axes:
            for axis in (axes.xaxis, axes.yaxis):
                formatter = axis.get_major_formatter()
                if isinstance(formatter, FixedFormatter):
                    formatter.seq = [text.translate(table) for text in formatter.seq]
        for text in self.figure.findobj(Text):
            text.set_fontfamily(families)
            text.set_text(text.get_text().translate(table))


def bars(
    axes: Axes, labels: Sequence[str], lengths: Sequence[float], told: Sequence[str], colour: str
) -> None:
    """Draw a bar for each label, the first one on top, with what is told of it at its end."""
    places = list(range(len(labels)))[::-1]
    axes.barh(places, lengths, height=0.68, color=colour)
    for place, length, text in zip(places, lengths, told, strict=True):
        axes.annotate(
            text, (length, place), (4, 0), textcoords="offset points", va="center", fontsize=8.5, color=MUTED
        )
    name_ticks(axes.yaxis, places, labels, labelcolor=INK)
    axes.set_ylim(-0.6, max(len(labels), 1) - 0.4)


def number_ticks(axis: Any, most: int = 6, tell: Callable[[float], str] | None = None) -> None:
    """Let an axis have at most ``most`` ticks, told by ``tell`` or as short as tells them apart."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    locator = MaxNLocator(nbins=most, steps=[1, 2, 2.5, 5, 10])
    axis.set_major_locator(locator)
    axis.set_major_formatter(FuncFormatter(lambda v, _: tell(v) if tell else _tick(v, locator())))


def name_ticks(axis: Any, places: Sequence[float], labels: Sequence[str], **style: Any) -> None:
    """Name places on an axis, by a formatter in which ``Sheet`` can put letters back."""
    from matplotlib.ticker import FixedFormatter, FixedLocator

    axis.set_major_locator(FixedLocator(list(places)))
    axis.set_major_formatter(FixedFormatter(list(labels)))
    axis.set_tick_params(**style)


def _tick(value: float, places: Sequence[float]) -> str:
    largest = max(abs(place) for place in places)
    step = places[1] - places[0] if len(places) > 1 else largest
    if abs(value) < step * 1e-6:
        return "0"
    needed = math.ceil(math.log10(largest / step)) + 2 if step > 0 else 4
    for unit, name in ((1e12, " tn"), (1e9, " bn"), (1e6, " M")):
        if largest >= unit:
            return (
                number(value / unit, max(needed, 2)) + name
                if abs(value) < 1e3 * unit
                else f"{value:.{needed}g}"
            )
    return number(value, max(needed, 4))


def legend(axes: Axes, **options: Any) -> None:
    """Put a legend above the axes, where it hides nothing."""
    handles, _ = axes.get_legend_handles_labels()
    place = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0), "ncol": max(len(handles), 1)} | options
    axes.legend(
        frameon=False,
        fontsize=8.5,
        labelcolor=INK,
        borderaxespad=0.2,
        handlelength=1.4,
        columnspacing=1.4,
        **place,
    )


def margin(labels: Sequence[str], most: float = 2.4) -> float:
    """Return the inches that the longest of the labels takes at the left of axes."""
    return min(0.35 + 0.078 * max((display_width(label) for label in labels), default=0), most)


def _rewrite(tag: str, name: str) -> str:
    """Make the identifiers of one figure its own, and its colours the page's."""
    tag = _IDENTIFIER.sub(rf"\1{name}-", tag)
    for colour, variable in _VARIABLES.items():
        tag = tag.replace(colour, variable)
    return tag


@contextmanager
def _settings(values: dict[str, str]) -> Iterator[None]:
    import matplotlib

    before = {key: matplotlib.rcParams[key] for key in values}
    matplotlib.rcParams.update(values)
    try:
        yield
    finally:
        matplotlib.rcParams.update(before)


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    return _letters("DejaVu Sans")


@lru_cache(maxsize=1)
def _stand_in_pool() -> str:
    """Letters that the font has and names hardly ever do: Braille, then syllabics."""
    rare = [*range(0x2801, 0x2900), *range(0x1401, 0x1677)]
    return "".join(chr(code) for code in rare if code in _glyphs())


@lru_cache(maxsize=1)
def _installed_fonts() -> tuple[list[str], frozenset[int]]:
    from matplotlib.font_manager import fontManager

    names = {entry.name for entry in fontManager.ttflist}
    families = ["DejaVu Sans", *(name for name in _WIDE_FONTS if name in names)]
    return families, frozenset().union(*(_letters(family) for family in families))


def _letters(family: str) -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(family)).get_charmap())
