"""What a study survives, and after how many seconds trials end again: the table of the README.

    python benchmarks/faults.py [--faults 20] [--trials 200] [--hosts]

Faults of one machine are injected into one study, drawn by chance, each kind at least once; the study must
end with exactly the trials asked for, each with one run in a final state. `--hosts` adds those of a cluster:
three hosts that one machine makes of network namespaces (root, see tests/cluster), on which a node is killed
or cut off, and the head is killed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path[:0] = [str(TESTS / "faults"), str(TESTS / "cluster")]


def table(told: Iterable[tuple[str, float]]) -> str:
    """Return a Markdown table: each kind of fault, how often it was tried, and the seconds after it."""
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    for name, took in told:
        seconds[name].append(took)
    head = "| fault | tried | survived | seconds until a trial ended again (median, most) |"
    lines = [head, "|---|---|---|---|"]
    for name, took in seconds.items():
        spread = f"{statistics.median(took):.1f}, {max(took):.1f}"
        lines.append(f"| {name} | {len(took)} | {len(took)} | {spread} |")  # one not survived ends the script
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hosts", action="store_true")
    options = parser.parse_args()
    from chaos import run_with_faults

    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        told = run_with_faults(Path(place), options.trials, options.faults, options.seed)
    if options.hosts:
        from node_faults import run_on_hosts

        told += run_on_hosts()
    print(table(told))


if __name__ == "__main__":
    main()
