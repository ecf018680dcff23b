"""The figures that pages show, written from the newest records: `python -m bench.readme [--check]`.

What stands between `<!-- figures: NAME -->` and `<!-- end of figures -->` is replaced. Figures are never written by
hand, because nobody notices when those are old; a test fails where a page shows others than the newest records.
"""

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.model import OURS
from bench.record import RECORDS, ROOT, newest
from bench.table import number

PAGES = (ROOT / "README.md", ROOT / "docs" / "cost.md")

_BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end of figures -->)", flags=re.DOTALL)

_CONTENDERS = {
    OURS: "this engine",
    "trio channels": "trio channels",
    "trio channels, nowait": "the same with a `*_nowait` fast path",
    "asyncio.Queue": "asyncio queues",
}
_HOPS = {
    "linear": "forwarded, with a condition",
    "rewriting": "decoded, changed, encoded",
    "suspending": "the adapter waits once",
    "fan-out": "one route to three by content",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the figures, or with `--check` only look; 1 if they were others than the records'."""
    parser = argparse.ArgumentParser(prog="python -m bench.readme", description="The figures of pages, from records.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if a page is not up to date")
    options = parser.parse_args(arguments)
    current = {page: with_figures(page.read_text(encoding="utf-8")) for page in PAGES}
    stale = [page for page, text in current.items() if page.read_text(encoding="utf-8") != text]
    for page in stale:
        if options.check:
            print(
                f"{page.name} shows other figures than the newest records; write them with: make figures",
                file=sys.stderr,
            )
        else:
            page.write_text(current[page], encoding="utf-8")
    return int(options.check and bool(stale))


def with_figures(text: str, records: Path = RECORDS) -> str:
    """Return a page with the figures of the newest records.

    Raises:
        LookupError: A record, a case or a figure is missing, or the text names figures that there are none of.
    """
    return _BLOCK.sub(lambda found: found[1] + _BLOCKS[found[2]](records) + found[3], text)


def _hop(records: Path) -> str:
    record = newest("hop", records)
    lines = [
        f"From `make bench` on {_taken(record)}; microseconds of CPU a hop, each row",
        "measured in turns with the others. The records are in [bench/record](bench/record).",
        "",
        f"| a hop | {' | '.join(_CONTENDERS.values())} |",
        "|---" * (1 + len(_CONTENDERS)) + "|",
    ]
    for case, label in _HOPS.items():
        figures = [number(figure(record, case, subject)) for subject in _CONTENDERS]
        lines.append(f"| {label} | {' | '.join(figures)} |")
    publishing = {
        way: number(figure(record, "publishing", subject))
        for way, subject in (("batch", OURS), ("nowait", "ours, publish_nowait()"), ("await", "ours, publish()"))
    }
    lines += [
        "",
        f"Publishing costs {publishing['batch']} a message with `publish_batch`, {publishing['nowait']} with",
        f"`publish_nowait`, {publishing['await']} with `publish`, which is a checkpoint. Bytewax, which cannot wait inside a",
        f"step, passes a message on for {number(figure(record, 'linear', 'Bytewax'))}. Of a hop whose adapter waits once, trio itself takes",
        f"{number(figure(record, 'suspending', 'trio, the calls alone'))}.",
        *_missed(record),
    ]
    return "\n".join(lines) + "\n"


def _missed(record: Mapping[str, Any]) -> list[str]:
    missed = [
        f"{case['name']}, {target['target']} (it is {number(target['value'])}{'' if target['against'] is None else 'x'})"
        for case in record["cases"]
        for target in case["targets"]
        if not target["met"]
    ]
    return [f"Missed of the suite's targets: {'; '.join(missed)}."] if missed else []


def _durable(records: Path) -> str:
    record = newest("queue", records)
    process, power = (number(figure(record, "execution", name, "wall")) for name in (OURS, "ours, power"))
    return (
        f"On {_taken(record)}, a hop took {process} microseconds with `process`\n"
        f"and {power} with `power`, at a `prefetch` of 1,000.\n"
    )


_WAYS = {
    OURS: ("`async def process`", "work that waits on trio, or takes microseconds"),
    "call_async": ("`call_async`", "the same, as a function"),
    "def": ("`def process`", "libraries that block"),
    "call": ("`call`", "the same, as a function"),
    "def, in a worker process": ("`def process`, in a worker process", "Python that computes"),
}


def _stages(records: Path) -> str:
    record, case = newest("stages", records), "ways to write a stage"
    least = figure(record, case, OURS, "wall")
    lines = [
        f"From `python -m bench stages{' --quick' if record['quick'] else ''}` on {_taken(record)};",
        "microseconds from one message to the next, with eight in flight, each row measured in turns with the others.",
        "",
        "| a stage that does nothing | a message | beside `async def` | for |",
        "|---|---|---|---|",
    ]
    for subject, (label, use) in _WAYS.items():
        cost = figure(record, case, subject, "wall")
        lines.append(f"| {label} | {number(cost)} | {number(cost / least)}x | {use} |")
    return "\n".join(lines) + "\n"


def _parts(records: Path) -> str:
    record = newest("hop", records)
    lines = [
        f"From `python -m bench hop` on {_taken(record)}; microseconds of CPU.",
        "",
        "| what a message does | costs |",
        "|---|---|",
        f"| goes from one route to the next, undecoded | {number(figure(record, 'linear', OURS))} |",
        f"| the same, decoded, changed and encoded | {number(figure(record, 'rewriting', OURS))} |",
        f"| the same, and the adapter waits once | {number(figure(record, 'suspending', OURS))} |",
    ]
    return "\n".join(lines) + "\n"


_BLOCKS: Mapping[str, Callable[[Path], str]] = {"hop": _hop, "durable": _durable, "stages": _stages, "parts": _parts}


def figure(record: Mapping[str, Any], case: str, subject: str, metric: str = "cpu") -> float:
    """Return the median of a subject.

    Raises:
        LookupError: The record has no such figure.
    """
    for known in record["cases"]:
        if known["name"] == case:
            value: float | None = known["medians"].get(subject, {}).get(metric)
            if value is not None:
                return value
    raise LookupError(
        f"a page shows {metric!r} of {subject!r} in case {case!r}, which the record of the suite "
        f"{record['suite']!r} of {record['taken'][:10]} does not have"
    )


def _taken(record: Mapping[str, Any]) -> str:
    machine, python = record["machine"], record["versions"]["python"]
    processor = re.sub(r"\(\w+\)|\bProcessor\b", "", machine["processor"]).strip()
    return f"{record['taken'][:10]}, {machine['cores']} cores of a shared {processor} machine, {python}"


if __name__ == "__main__":
    sys.exit(main())
