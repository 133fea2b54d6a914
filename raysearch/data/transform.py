"""What is modelled instead of the target itself: a strictly increasing function of it, and the way back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from raysearch.errors import DataError, listing

Floats = npt.NDArray[np.float64]
KINDS = ("none", "log", "log1p", "asinh", "change")


@dataclass(frozen=True)
class Transform:
    """A strictly increasing function of the target; quantiles pass through it unchanged.

    Attributes:
        kind: none, log, log1p, asinh or change.
        anchor: a column; with kind log the growth log(target / anchor) is modelled, with kind change the
            difference target - anchor.
        centre, scale: what lies in the middle of the modelled training rows, and how far they spread (a power
            of two, so that nothing is lost by it). Boosters are given the distance from the one in units of
            the other: they keep labels in 32 bits, in which 1,600,000,001 and 1,600,000,050 are the same.
        lower, upper: bounds in the target's units that no forecast leaves; None: there is none. Quantiles are
            clipped to them: the quantiles of a target that is itself cut off at a bound (censored: sold out,
            the end of a scale) are the clipped quantiles of the whole one, at every level (Powell, 1986).
    """

    kind: str = "none"
    anchor: str | None = None
    centre: float = 0.0
    scale: float = 1.0
    lower: float | None = None
    upper: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(f"transform: got {self.kind!r}, must be one of {listing(KINDS)}")
        if self.anchor is not None and self.kind not in ("log", "change"):
            raise DataError(f"transform: an anchor needs the kind 'log' or 'change', got {self.kind!r}")
        if self.anchor is None and self.kind == "change":
            raise DataError("transform: the kind 'change' needs an anchor")

    def forward(self, y: npt.ArrayLike, anchor: npt.ArrayLike | None = None) -> Floats:
        """Return the modelled scale of ``y``, of the same shape.

        Args:
            y: [rows] or [rows, levels], in the target's units.
            anchor: [rows], needed exactly where the transform has an anchor.
        """
        values = np.asarray(y, dtype=np.float64)
        if self.kind == "log":
            result = np.log(values)
            return result - np.log(self._anchors(anchor, values)) if self.anchor is not None else result
        if self.kind == "change":
            return values - self._anchors(anchor, values)
        if self.kind == "log1p":
            return np.log1p(values)
        return np.arcsinh(values) if self.kind == "asinh" else values.copy()

    def inverse(self, z: npt.ArrayLike, anchor: npt.ArrayLike | None = None) -> Floats:
        """Return the target's units of ``z`` ([rows] or [rows, levels]), of the same shape, within bounds."""
        return self._within(self._back(np.asarray(z, dtype=np.float64), anchor))

    def _back(self, values: Floats, anchor: npt.ArrayLike | None) -> Floats:
        if self.kind == "log":
            result = np.exp(values)
            return result * self._anchors(anchor, values) if self.anchor is not None else result
        if self.kind == "change":
            return values + self._anchors(anchor, values)
        if self.kind == "log1p":
            return np.expm1(values)
        return np.sinh(values) if self.kind == "asinh" else values.copy()

    def _within(self, y: Floats) -> Floats:
        bounded = self.lower is not None or self.upper is not None
        return np.asarray(np.clip(y, self.lower, self.upper)) if bounded else y

    def fitted(self, y: npt.ArrayLike, anchor: npt.ArrayLike | None = None) -> Transform:
        """Return the transform with centre and scale of training rows [rows]."""
        low, centre, high = np.quantile(self.forward(y, anchor), [0.25, 0.5, 0.75])
        spread = high - low or np.ptp(self.forward(y, anchor))
        usable = np.isfinite(spread) and spread > 0
        exponent = float(np.clip(np.round(np.log2(spread)), -1000, 1000)) if usable else 0.0
        return replace(self, centre=float(centre), scale=2.0**exponent)

    def standardise(self, z: Floats) -> Floats:
        """Return modelled values as boosters are given them."""
        return np.asarray((z - self.centre) / self.scale)

    def restore(self, values: Floats) -> Floats:
        """Return the modelled values of what boosters predict."""
        return np.asarray(values * self.scale + self.centre)

    def name(self, target: str) -> str:
        """Return what people call the modelled scale: ``nav_log``, ``log(demand)``, or the target itself."""
        if self.kind == "change":
            return f"change of {target}"
        if self.anchor is not None:
            return f"{self.anchor}_log"
        return target if self.kind == "none" else f"{self.kind}({target})"

    def to_json(self) -> dict[str, Any]:
        """Return plain types, fit for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Transform:
        """Rebuild what ``to_json`` returned."""
        numbers = {key: float(plain[key]) for key in ("centre", "scale")}
        found = cls(kind=str(plain["kind"]), anchor=plain.get("anchor"), **numbers)
        return replace(found, lower=plain.get("lower"), upper=plain.get("upper"))  # older models have none

    def _anchors(self, anchor: npt.ArrayLike | None, values: Floats) -> Floats:
        if anchor is None:
            raise DataError(f"transform: the column {self.anchor!r} is needed to go between growth and value")
        rows = np.asarray(anchor, dtype=np.float64)
        return rows[:, None] if values.ndim == 2 else rows
