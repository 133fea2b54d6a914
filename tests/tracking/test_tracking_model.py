"""The logged model, loaded and served in processes of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

# Whether raysearch is installed where the tests run must not matter: only PYTHONPATH says so here.
LOAD = """
import json, os, sys, warnings
from pathlib import Path
given = os.environ.get("PYTHONPATH", "")
def holds_raysearch(entry):
    return (Path(entry) / "raysearch" / "__init__.py").is_file()
sys.path = [entry for entry in sys.path if entry == given or not holds_raysearch(entry)]
import mlflow.pyfunc, pandas as pd
warnings.simplefilter("error", UserWarning)
model = mlflow.pyfunc.load_model(sys.argv[1])
days = pd.to_datetime(["2020-01-01", None])
table = pd.DataFrame({"a": [1, 2], "b c": [0.5, None], "day": days, "more": ["x", "y"]})
answer = model.predict(table)
import raysearch.forecaster
print(json.dumps({"columns": list(answer.columns), "values": answer.values.tolist(),
                  "without": model.predict(table[["a"]]).values.tolist(),
                  "file": raysearch.forecaster.__file__}))
"""


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    # `mlflow models serve` looks for uvicorn on the path.
    return {**kept, **quiet, "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}", **more}


@pytest.fixture
def model(forecaster_dir, tmp_path) -> Path:
    from raysearch.tracking.model import save_model

    return save_model(forecaster_dir, tmp_path)


def load(model: Path, cwd: Path, **more: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(model)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment(**more),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_it_loads_with_and_without_raysearch(model, tmp_path):
    from raysearch.tracking.model import _copy_package

    alone = load(model, tmp_path / "study")
    assert alone["columns"] == ["q0.05", "q0.5"]
    assert alone["values"] == [[2026.05, 2026.5], [2.05, 2.5]]
    assert alone["without"] == [[1.05, 1.5], [2.05, 2.5]]
    assert Path(alone["file"]).is_relative_to(model)

    installed = _copy_package(tmp_path / "installed")
    beside = load(model, tmp_path / "study", PYTHONPATH=str(tmp_path / "installed"))
    assert beside["values"] == alone["values"]
    assert Path(beside["file"]).is_relative_to(installed)


def test_the_model_directory_holds_no_pickle_and_pinned_requirements(model):
    names = {file.name for file in model.rglob("*") if file.is_file()}
    assert not [name for name in names if name.endswith((".pkl", ".pickle", ".pyc"))]
    requirements = (model / "requirements.txt").read_text().split()
    assert all("==" in line for line in requirements)
    assert {line.partition("==")[0] for line in requirements} >= {"mlflow", "lightgbm", "pandas"}
    assert not (model / "code" / "raysearch" / "data" / "factor_etf_prices.csv.gz").exists()


def test_it_answers_over_http(model, tmp_path):
    from raysearch.tracking.model import _copy_package

    _copy_package(tmp_path / "installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model), "--env-manager", "local"]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        cwd=tmp_path / "study",
        env=environment(PYTHONPATH=str(tmp_path / "installed")),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        columns = ["a", "b c", "day"]
        rows = [[1, None, "2020-06-01"], [None, 2, None]]
        split = ask(port, {"dataframe_split": {"columns": columns, "data": rows}})
        assert split == [{"q0.05": 2021.05, "q0.5": 2021.5}, {"q0.05": 20.05, "q0.5": 20.5}]
        records = [dict(zip(columns, row, strict=True)) for row in rows]
        assert ask(port, {"dataframe_records": records}) == split
        assert (
            ask(port, {"dataframe_split": {"columns": ["b c"], "data": [[None], [None]]}})
            == [{"q0.05": 0.05, "q0.5": 0.5}] * 2
        )
        milliseconds = 1590969600000
        assert ask(port, {"dataframe_records": [{"a": "1", "day": milliseconds}]}) == [split[0]]
    finally:
        server.terminate()
        server.wait(20)


def ask(port: int, body: dict, patience_s: float = 60.0) -> list:
    """Ask until the server is up."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    until = time.monotonic() + patience_s
    while True:
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.load(answer)["predictions"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.3)
