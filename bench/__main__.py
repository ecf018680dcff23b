"""`python -m bench SUITE [--quick | --tiny]`: run, show, record, draw.

Progress goes to standard error, tables to standard output.
"""

import argparse
import datetime as dt
import gc
import importlib
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.model import FULL, OURS, QUICK, TINY, Case, Scale
from bench.record import RECORDS, ROOT, as_record, write
from bench.run import CaseResult, run_case
from bench.table import render

SUITES = (
    "hop",
    "latency",
    "routing",
    "frames",
    "queue",
    "storage",
    "lineage_store",
    "scale",
    "stages",
    "permits",
    "limits",
    "lineage",
    "processes",
    "simulation",
    "profile",
)
CHARTS = ROOT / "out" / "bench"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suites that were asked for; 0 even if a target is missed, because a machine's mood is no defect."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmarks of factflow-engine.")
    parser.add_argument("suite", nargs="+", choices=(*SUITES, "all"))
    less = parser.add_mutually_exclusive_group()
    less.add_argument(
        "--quick", action="store_true", help="fewer and smaller rounds; goes to out/bench, not to the records"
    )
    less.add_argument(
        "--tiny",
        action="store_true",
        help="only shows that everything runs; the figures mean nothing, goes to out/bench",
    )
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="where records go, in place of the above")
    parser.add_argument(
        "--case", default="", metavar="TEXT", help="only cases whose name contains this; nothing is recorded"
    )
    options = parser.parse_args(arguments)
    names = SUITES if "all" in options.suite else tuple(dict.fromkeys(options.suite))
    scale = QUICK if options.quick else TINY if options.tiny else FULL
    is_full = scale is FULL
    folder = options.into or (RECORDS if is_full else CHARTS)
    verdicts = []
    for name in names:
        results = run_suite(name, scale, options.case)
        verdicts += [verdict for result in results for verdict in result.verdicts()]
        if not options.case:
            keep(name, results, folder, charts=options.into or CHARTS, quick=not is_full)
    print(f"\n{sum(verdict.met for verdict in verdicts)} of {len(verdicts)} targets met")
    return 0


def run_suite(name: str, scale: Scale, only: str = "") -> list[CaseResult]:
    """Run a suite's cases and print each table as soon as it is there."""
    started = time.perf_counter()
    module = importlib.import_module(f"bench.suites.{name}")  # a suite's libraries are needed for that suite alone
    cases: list[Case] = [case for case in module.cases(scale) if only in case.name]
    gc.collect()
    gc.freeze()  # tables of ten thousand rules are there all along: no collection during a round should walk them
    results = []
    for position, case in enumerate(cases, 1):
        prefix = f"{name} {position}/{len(cases)} "
        results.append(run_case(case, scale.rounds_of(case), partial(_telling, prefix), warm_ups=scale.warm_ups))
        _tell("")
        print(f"\n{render(results[-1])}", flush=True)
    gc.unfreeze()
    print(f"\n{name}: {time.perf_counter() - started:.0f} s", flush=True)
    return results


def keep(name: str, results: Sequence[CaseResult], folder: Path, *, charts: Path, quick: bool) -> None:
    """Write the record, and draw it; charts are never committed, for `python -m bench.chart` draws them from records."""
    record = as_record(name, results, quick=quick, taken=dt.datetime.now(dt.UTC))
    path = write(record, folder)
    chart = importlib.import_module("bench.chart").draw(record, charts)  # the harness runs without the drawing library
    print(f"{_shown(path)} written, {_shown(chart)} drawn", flush=True)


def _shown(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def _telling(prefix: str, text: str) -> None:
    _tell(prefix + text)


def _tell(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    elif text.endswith(f"warm-up: {OURS}"):  # a log needs no more than where it is
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
