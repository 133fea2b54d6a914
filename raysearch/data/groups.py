"""The names of groups, as one file and another write them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from raysearch.data.plan import canonical
from raysearch.data.values import as_texts, decode, kind_of

MISSING_GROUP = "(missing)"
_LONG_NAME = 200  # characters


def group_names(table: Any, column: str) -> Any:
    """Return [rows] str; missing ones are "(missing)"."""
    array = decode(table.column(column))
    if kind_of(array.type) in ("nested", "empty"):
        words = [MISSING_GROUP if value is None else str(value) for value in array.to_pylist()]
        return np.asarray(words, dtype=str)
    texts = as_texts(array)
    words = [*(word or "" for word in texts.values.to_pylist()), MISSING_GROUP]
    # numpy gives every text the room of the longest one: one long text would cost memory in every row.
    names = np.asarray(words, dtype=str if max(map(len, words)) <= _LONG_NAME else object)
    return names[texts.codes]  # the code -1 takes the last name


def as_known(names: Any, known: Any) -> Any:
    """Return group names [rows], those that ``known`` has not as it writes them: "1.0" and "01" as "1".

    A file that is read as numbers writes its groups otherwise than one that is read as text.
    """
    # Hashed, not sorted: sorting the names of all rows takes longer than the rows' prediction.
    codes, words = pd.factorize(np.asarray(names, dtype=object), use_na_sentinel=False)
    there = set(pd.unique(np.asarray(known, dtype=object)).tolist())
    if there.issuperset(words.tolist()):
        return names
    written = {canonical(word): word for word in sorted(there, reverse=True)}
    spelt = [word if word in there else written.get(canonical(word), word) for word in words.tolist()]
    return np.asarray(spelt, dtype=object if names.dtype == object else str)[codes]
