"""``python -m raysearch`` and the installed command ``raysearch``."""

from __future__ import annotations

import gc
import os


def main() -> None:
    """Run the command line. No telemetry: these are read when the libraries are first imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    from raysearch.cli import app

    try:
        app()
    finally:
        # All that this process holds goes at once: to look through it for garbage first takes half a second.
        gc.disable()
        gc.freeze()


if __name__ == "__main__":
    main()
