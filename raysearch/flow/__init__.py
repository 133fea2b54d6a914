"""The product's sentences: tune, resume, check, predict, list. Every door calls these."""

from raysearch.flow.check import Plan, check
from raysearch.flow.display import Display, SearchBegins, Silent
from raysearch.flow.study import Study, StudyRow, list_studies, open_study
from raysearch.flow.sync import Synced, sync
from raysearch.flow.tune import resume, tune

__all__ = [
    "Display",
    "Plan",
    "SearchBegins",
    "Silent",
    "Study",
    "StudyRow",
    "Synced",
    "check",
    "list_studies",
    "open_study",
    "resume",
    "sync",
    "tune",
]
