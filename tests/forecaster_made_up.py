"""Small forecasters of made-up sales, for tests of what is kept and served."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from raysearch.calibration import no_calibration
from raysearch.data import Encoder, Transform
from raysearch.forecaster import Forecaster, Member
from raysearch.models import FitSettings, Frame, get_model

LEVELS = (0.05, 0.5, 0.95)


def table(rows=200, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "a b": rng.normal(size=rows),
            "größe": rng.integers(0, 9, size=rows),
            "shop": rng.choice(["n", "s", "w"], size=rows),
            "nav": rng.uniform(5, 50, size=rows),
        }
    )


def train(models=("lightgbm",), transform=None, columns=("a b", "größe", "shop"), frame=None):
    frame = table() if frame is None else frame
    y = frame["nav"] * np.exp(0.1 * frame["a b"] + 0.05 * (frame["shop"] == "s"))
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    encoder = Encoder.fit(arrow, list(columns))
    rows = Frame(encoder.transform(arrow).features, encoder.categorical)
    transform = transform or Transform()
    z = transform.forward(y.to_numpy(), frame["nav"].to_numpy() if transform.anchor else None)
    members = []
    for name in models:
        model = get_model(name)
        fit = model.start(model.bin(rows, z, {}, FitSettings(LEVELS)), {}, FitSettings(LEVELS), rows)
        fit.advance(8)
        members.append(Member(name, fit.dump()))
    return Forecaster(
        "nav ahead",
        LEVELS,
        tuple(members),
        encoder,
        transform,
        no_calibration(LEVELS),
        None,
        {"study": "ü", "params": {"x": 1}},
    )
