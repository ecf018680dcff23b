"""A record as a chart: one SVG a suite, a bar a subject, logarithmic because the subjects differ by orders.

    python -m bench.chart [RECORD.json ...]

draws the given records, or all, into `out/bench/<machine>/`.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pygal
from pygal.style import CleanStyle

from bench.model import OURS
from bench.record import RECORDS, ROOT, folder_name

_OURS_COLOUR = "#2a6f4e"
_THEIRS_COLOUR = "#9aa5b1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw records that were taken before; 0."""
    parser = argparse.ArgumentParser(prog="python -m bench.chart", description="Charts of benchmark records.")
    parser.add_argument("record", nargs="*", type=Path, help="a record; default: all")
    parser.add_argument("--into", type=Path, metavar="FOLDER", default=ROOT / "out" / "bench")
    options = parser.parse_args(arguments)
    for path in options.record or sorted(RECORDS.glob("*/*.json")):
        print(draw(json.loads(path.read_text(encoding="utf-8")), options.into))
    return 0


def draw(record: Mapping[str, Any], folder: Path) -> Path:
    """Draw the first metric of every case of a record as `<machine>/<date>-<suite>.svg`; return where that is.

    Bars begin at the power of ten below the smallest figure; the same record gives the same bytes.

    Raises:
        ValueError: The record holds no figure that a bar can show.
    """
    bars: list[dict[str, Any]] = []
    labels: list[str] = []
    for case in record["cases"]:
        metric, unit = next(iter(case["units"].items()))
        for subject, medians in case["medians"].items():
            if medians.get(metric, 0) > 0:
                labels.append(f"{case['name']}: {subject}")
                bars.append(
                    {
                        "value": medians[metric],
                        "color": _OURS_COLOUR if subject == OURS else _THEIRS_COLOUR,
                        "formatter": lambda value, unit=unit: f"{value:,.3g} {unit}",
                    }
                )
        labels.append("")
        bars.append({"value": None})
    values = [bar["value"] for bar in bars if bar["value"]]
    if not values:
        raise ValueError(f"the record of {record['suite']!r} holds no figure above 0 to draw")
    chart = pygal.HorizontalBar(
        logarithmic=True,
        range=(10 ** math.floor(math.log10(min(values))), max(values) * 2),
        style=CleanStyle(label_font_size=11, value_font_size=11, title_font_size=15),
        js=(),
        no_prefix=True,
        show_legend=False,
        print_values=True,
        print_values_position="top",
        width=1100,
        height=120 + 22 * len(bars),
        title=f"{record['suite']}, {record['taken'][:10]}: median cost, logarithmic; less is better",
    )
    chart.x_labels = list(reversed(labels))
    chart.add("", list(reversed(bars)))
    path = folder / folder_name(record["machine"]) / f"{record['taken'][:10]}-{record['suite']}.svg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(chart.render())
    return path


if __name__ == "__main__":
    sys.exit(main())
