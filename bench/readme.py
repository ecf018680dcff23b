"""The figures that the README shows, written from the newest records: `python -m bench.readme [--check]`.

What stands between `<!-- figures: NAME -->` and `<!-- end of figures -->` is replaced. Figures are never written by
hand, because nobody notices when those are old; a test fails where the README shows others than the newest records.
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

README = ROOT / "README.md"

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
    parser = argparse.ArgumentParser(prog="python -m bench.readme", description="The README's figures, from records.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if the README is not up to date"
    )
    options = parser.parse_args(arguments)
    text = README.read_text(encoding="utf-8")
    current = with_figures(text)
    if options.check:
        if text != current:
            print(
                "README.md shows other figures than the newest records; write them with: make figures", file=sys.stderr
            )
        return int(text != current)
    README.write_text(current, encoding="utf-8")
    return 0


def with_figures(text: str, records: Path = RECORDS) -> str:
    """Return a README with the figures of the newest records.

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


_BLOCKS: Mapping[str, Callable[[Path], str]] = {"hop": _hop, "durable": _durable}


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
        f"the README shows {metric!r} of {subject!r} in case {case!r}, which the record of the suite "
        f"{record['suite']!r} of {record['taken'][:10]} does not have"
    )


def _taken(record: Mapping[str, Any]) -> str:
    machine, python = record["machine"], record["versions"]["python"]
    processor = re.sub(r"\(\w+\)|\bProcessor\b", "", machine["processor"]).strip()
    return f"{record['taken'][:10]}, {machine['cores']} cores of a shared {processor} machine, {python}"


if __name__ == "__main__":
    sys.exit(main())
