"""From a file or frame to one checked, split and encoded Arrow table."""

from raysearch.data.address import open_filesystem
from raysearch.data.encode import Encoded, Encoder
from raysearch.data.fold_facts import folds_csv, write_folds
from raysearch.data.nav import load_builtin
from raysearch.data.prepare import Dataset, prepare
from raysearch.data.read import read_table
from raysearch.data.transform import Transform

__all__ = [
    "Dataset",
    "Encoded",
    "Encoder",
    "Transform",
    "folds_csv",
    "load_builtin",
    "open_filesystem",
    "prepare",
    "read_table",
    "write_folds",
]
