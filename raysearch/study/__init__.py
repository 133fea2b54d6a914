"""Many trials: Ray Tune and OptunaSearch, the ledger, early stopping, resume; ``inline`` is the twin without Ray."""
