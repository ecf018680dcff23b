"""A record as a chart: one SVG a suite, a bar a subject, logarithmic because the subjects differ by orders."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pygal
from pygal.style import CleanStyle

from bench.model import OURS

_OURS_COLOUR = "#2a6f4e"
_THEIRS_COLOUR = "#9aa5b1"


def draw(record: Mapping[str, Any], path: Path) -> None:
    """Draw the first metric of every case of a record.

    Bars begin at the power of ten below the smallest figure; the same record gives the same bytes.
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
        return
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
    path.write_bytes(chart.render())
