"""Any table becomes columns of plain floats that both libraries accept, the same way at prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from raysearch.data.plan import Plan, outputs, plan_column
from raysearch.errors import DataError, listing

ABSENT = "columns not there"


@dataclass(frozen=True)
class Encoded:
    """Features of a table.

    Attributes:
        features: pa.Table with columns f0..fN of float32 or float64, missing cells are NaN, never null.
        warnings: columns that were not there and values that could not be read, in words.
    """

    features: pa.Table
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Encoder:
    """The way from a user's columns to features, learned by ``fit`` and kept with the model.

    Attributes:
        plans: one a source column, in the table's order.
        left_out: by column, why it is no feature.
    """

    plans: tuple[Plan, ...]
    left_out: Mapping[str, str]

    @classmethod
    def fit(
        cls, table: pa.Table, columns: Sequence[str], *, left_out: Mapping[str, str] | None = None
    ) -> Encoder:
        """Learn from the rows of ``table`` how its ``columns`` become features.

        Numbers and booleans stay; dates become calendar parts; texts become codes by frequency, at most
        1,000, unless they are numbers or dates in words. Columns that are constant, id-like, empty or nested
        are left out. The same rows give the same encoder.

        Args:
            left_out: columns that others left out already, with their reasons.

        Raises:
            DataError: no column is left to learn from.
        """
        plans: list[Plan] = []
        reasons = dict(left_out or {})
        for name in columns:
            plan = plan_column(name, table.column(name))
            if isinstance(plan, str):
                reasons[name] = plan
            else:
                plans.append(plan)
        if not plans:
            told = "; ".join(f"{name!r}: {reason}" for name, reason in list(reasons.items())[:8])
            raise DataError(f"data: no column is left to learn from ({told or 'none was given'})")
        return cls(tuple(plans), reasons)

    @property
    def names(self) -> tuple[str, ...]:
        """[features] what people call them, e.g. "carrier", "date: month"."""
        return tuple(name for plan in self.plans for name in plan.names)

    @property
    def columns(self) -> tuple[str, ...]:
        """The source columns, in the order of the features."""
        return tuple(plan.column for plan in self.plans)

    @property
    def input_kinds(self) -> Mapping[str, str]:
        """Each source column with what a service should be sent: double, boolean, string or datetime."""
        kinds = {"number": "double", "boolean": "boolean", "date": "datetime"}
        return {plan.column: kinds.get(plan.kind, "string") for plan in self.plans}

    @property
    def categorical(self) -> tuple[bool, ...]:
        """[features] whether the numbers are codes without an order."""
        return tuple(plan.kind == "category" for plan in self.plans for _ in plan.names)

    @property
    def features(self) -> tuple[str, ...]:
        """[features] their column names in the encoded table: f0, f1, ..."""
        return tuple(f"f{i}" for i in range(len(self.names)))

    def transform(self, table: pa.Table) -> Encoded:
        """Encode any table that has at least one of the source columns; rows stay in order.

        A missing column is missing in every row; a value of another type is converted as well as can be; a
        value that cannot be, an infinite one, and a category not seen by ``fit`` are missing. Each is told in
        the warnings.

        Raises:
            DataError: none of the source columns is there.
        """
        arrays: list[Any] = []
        absent: list[str] = []
        warnings: list[str] = []
        for plan in self.plans:
            at = table.schema.get_all_field_indices(plan.column)
            if at:
                cells, complaint = outputs(plan, table.column(at[0]))
                if complaint:
                    warnings.append(f"{plan.column!r}: {complaint}")
            else:
                absent.append(plan.column)
                cells = [np.full(table.num_rows, np.nan) for _ in plan.names]
            arrays.extend(_narrow(values, plan.dtype) for values in cells)
        if len(absent) == len(self.plans):
            raise DataError(
                f"data: none of the model's columns is there; expected {listing(self.columns)}, "
                f"got {listing(table.column_names)}"
            )
        if absent:
            warnings.insert(0, f"{ABSENT}, taken as missing in every row: {listing(absent)}")
        return Encoded(pa.Table.from_arrays(arrays, names=list(self.features)), tuple(warnings))

    def to_json(self) -> dict[str, Any]:
        """Return plain types, fit for JSON."""
        return {
            "version": 1,
            "columns": [plan.to_json() for plan in self.plans],
            "left_out": dict(self.left_out),
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Encoder:
        """Rebuild what ``to_json`` returned.

        Raises:
            DataError: written by a later raysearch.
        """
        if plain.get("version") != 1:
            raise DataError(f"encoder: got version {plain.get('version')!r}, this raysearch reads version 1")
        return cls(tuple(Plan.from_json(plan) for plan in plain["columns"]), dict(plain["left_out"]))


def _narrow(values: Any, dtype: str) -> Any:
    """Return a pa.Array without nulls; what float32 cannot hold is missing."""
    cells = np.ascontiguousarray(values, dtype=np.float64)
    if dtype == "float32":
        with np.errstate(over="ignore"):
            cells = cells.astype(np.float32)
        cells[np.isinf(cells)] = np.nan
    return pa.array(cells, from_pandas=False)
