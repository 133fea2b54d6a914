"""Does a slow MLflow server slow the search?

    python benchmarks/slow_record.py [--delay-ms 200] [--trials 60] [--rows 20000] [--repeats 5]

A real tracking server stands behind a proxy that holds each answer back for `--delay-ms`, or for nothing;
both sides go through it, in turns. Told are the trials a second from the first trial that ended to the last,
and what came after the last one: its record is still being sent then. Ratios are of one turn.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests" / "faults")]


class Proxy:
    """Hands each request on, and each answer back after a while; requests do not wait for each other."""

    def __init__(self, uri: str) -> None:
        host, _, port = uri.removeprefix("http://").partition(":")
        self.delay_s, self.asked = 0.0, 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def hand_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                there = http.client.HTTPConnection(host, int(port), timeout=60)
                there.request(self.command, self.path, body, dict(self.headers))
                answer = there.getresponse()
                content = answer.read()
                there.close()
                proxy.asked += 1
                time.sleep(proxy.delay_s)
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = hand_on  # noqa: N815

            def log_message(self, *told: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


def run(table: Path, uri: str, trials: int, place: Path) -> dict[str, float]:
    """Run one study; return its trials a second, and the seconds from its last trial to its end."""
    from raysearch.study.reading import LedgerReader
    from raysearch.study.storage import open_storage_to_read

    words = ["tune", "--data", str(table), "--target", "y", "--study", "s", "--home", str(place)]
    words += ["--trials", str(trials), "--scheduler", "none", "--sampler", "random", "--cv", "1"]
    words += ["--set", "search.refit=false", "--tracking-uri", uri, "--json"]
    done = subprocess.run([sys.executable, "-m", "raysearch", *words], capture_output=True, text=True)
    ended_s = time.time()
    if done.returncode:
        raise SystemExit(done.stderr)
    if "not complete" in done.stderr:
        raise SystemExit(f"the record is not complete: {done.stderr}")
    storage = open_storage_to_read(place / "s" / "ledger.log", None)
    (study,) = storage.get_all_studies()
    reader = LedgerReader(place / "s" / "ledger.log", None, study.study_name)
    ends = sorted(result.ended_s for result in reader.results())
    return {"rate": (len(ends) - 1) / (ends[-1] - ends[0]), "after_s": ended_s - ends[-1]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--delay-ms", type=float, default=200)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    from fault_rig import Server, make_table

    turns = []
    with tempfile.TemporaryDirectory(prefix="slow-") as scratch:
        place = Path(scratch)
        server = Server(place)
        server.start()
        try:
            proxy, table = Proxy(server.uri), make_table(place, options.rows)
            run(table, proxy.uri, 4, place / "warm")  # files are read for the first time
            for turn in range(options.repeats):
                sides = [("quick", 0.0), ("slow", options.delay_ms / 1000)]
                found = {}
                for side, delay_s in sides if turn % 2 == 0 else sides[::-1]:
                    proxy.delay_s, before = delay_s, proxy.asked
                    found[side] = run(table, proxy.uri, options.trials, place / f"{side}{turn}")
                    found[side]["requests"] = proxy.asked - before
                    print(side, found[side], file=sys.stderr, flush=True)
                turns.append(found)
        finally:
            server.kill()
    if options.out:
        options.out.write_text(json.dumps(turns, indent=1))
    print(table_of(turns, options.delay_ms))


def table_of(turns: list[dict[str, dict[str, float]]], delay_ms: float) -> str:
    """Return a Markdown table of both sides, and the ratio of their rates."""
    lines = [
        "| server answers | trials a second | requests | seconds after the last trial |",
        "|---|---|---|---|",
    ]
    for side, told in (("quick", "at once"), ("slow", f"{delay_ms:.0f} ms later")):
        middle = {key: statistics.median(turn[side][key] for turn in turns) for key in turns[0][side]}
        lines.append(
            f"| {told} | {middle['rate']:.3f} | {middle['requests']:.0f} | {middle['after_s']:.1f} |"
        )
    ratios = sorted(turn["slow"]["rate"] / turn["quick"]["rate"] for turn in turns)
    spread = f"{ratios[0]:.3f} to {ratios[-1]:.3f}"
    lines.append(f"\nratio of trials a second, slow to quick: {statistics.median(ratios):.3f} ({spread})")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
