"""raysearch: hyperparameter search for quantile forecasters on Ray."""

__version__ = "0.1.0"
