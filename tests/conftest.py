"""What all rooms' tests share: one local Ray for the whole session."""

from __future__ import annotations

import http.server
import importlib
import os
import signal
import threading

import hypothesis
import pytest

# How long an example takes hangs on what else the machine does.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """A shell begins jobs in the background with Ctrl-C ignored; what a test starts would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def local_ray():
    """Start an own Ray of two CPUs, without a dashboard, at first use; it ends with the session."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    # An explicit address: nothing that is already running on this machine is ever joined.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_worker_niceness", "0")  # else its workers give way to all others
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=200 * 2**20,
            log_to_driver=False,
        )
    yield ray
    ray.shutdown()


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the report, which takes longer than the study, where nobody looks at it."""
    closing = importlib.import_module("raysearch.flow.closing")
    monkeypatch.setattr(closing, "write_report", lambda material, directory: None)


@pytest.fixture
def mlflow_at(monkeypatch):
    """Return a function that lets MLflow's own calls read from a store until the test ends, and no longer."""

    def point(uri: str) -> None:
        from mlflow.tracking._tracking_service import utils

        monkeypatch.setattr(utils, "_tracking_uri", uri)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    return point


@pytest.fixture
def server():
    """A web server that answers all with ``status`` and ``content``."""

    class Handler(http.server.BaseHTTPRequestHandler):
        status, content = 200, b"OK"

        def do_GET(self):
            self.send_response(self.status)
            self.end_headers()
            self.wfile.write(self.content)

        def do_HEAD(self):
            self.do_GET()

        def log_message(self, *_):
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    made.handler = Handler
    yield made
    made.shutdown()
    made.server_close()
