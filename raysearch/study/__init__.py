"""Many trials: Ray Tune and OptunaSearch, the ledger, early stopping; ``inline`` is the twin without Ray."""
