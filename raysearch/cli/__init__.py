"""Words in, words out: each command is one call into ``flow``."""

from raysearch.cli.app import app

__all__ = ["app"]
