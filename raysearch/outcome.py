"""What came of a study, in words that the terminal, the report and the record share."""

from __future__ import annotations

from raysearch.records import StudyResult


def untuned(result: StudyResult) -> str:
    """Return in a sentence that the model is the library's defaults and why; "" where it is not."""
    blended = result.ensemble is not None and len(result.ensemble.weights) > 1
    if not result.best.default or blended:  # with other trials it is more than the defaults
        return ""
    finished, stopped, cut = (result.trials.get(state, 0) for state in ("finished", "stopped", "cut"))
    if finished == 1 and not stopped:
        if cut:
            return (
                "Only the untuned default had time to finish, and no trial that was cut did better: "
                "give more time."
            )
        if result.stopped_by == "time":
            return "Only the untuned default had time to finish; nothing was tuned: give more time."
        return "Only the untuned default finished; nothing was tuned."
    if result.pareto:
        return "The trial that was picked from the Pareto front is the library's untuned default."
    return "No setting beat the library's defaults: the model is the defaults."
