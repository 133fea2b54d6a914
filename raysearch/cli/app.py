"""The application with all its commands, in the order in which ``--help`` lists them."""

from raysearch.cli import searching, predicting, looking  # isort: skip
from raysearch.cli.common import app

__all__ = ["app", "looking", "predicting", "searching"]
