"""A simulated run as one HTML page that needs no network: verdict, reproducing line, timeline and trace.

Kept separate from the report because it is about looks. The trace is an HTML table, the timeline is drawn by the page's own
script from numbers; each has a bounded number of events, so that the page of a long run has about a megabyte. Everything
that a run contains is hostile text here: payloads, errors and names are escaped, cut, and never part of a script. The page of
a run is the same every time.
"""

import json
import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from factflow_engine.error_texts import bounded
from factflow_engine.testing import simulation
from factflow_engine.testing.simulation.page_events import KINDS, MARKED, MOST_SHOWN, VISITS, Drawn, Picture, picture
from factflow_engine.version import __version__

if TYPE_CHECKING:
    from factflow_engine.testing.simulation.report import SimulationReport

MOST_CHARACTERS: Final = 300
"""Most characters of a detail."""
MOST_NAME: Final = 120
"""Most characters of a name, and of a message's label."""
MOST_LINE: Final = 20_000
"""Most characters of the line that reproduces the run."""
MOST_ROWS: Final = 100
"""Most rows of each list of the head: what was broken, queues, assertions."""
MOST_BROKEN_CHARACTERS: Final = 2_000
"""Most characters of what was broken."""

_MARK: Final = re.compile(r"\{\{(\w+)\}\}")
_EMPTY: Final = '<p class="note">None.</p>'


def page(report: "SimulationReport") -> str:
    """Return the page of a run."""
    routes = {route: [stage.name for stage in section.adapters] for route, section in report.config.routes.items()}
    found = picture(report.trace, routes)
    parts = {
        "css": _part("page.css"),
        "js": _part("page.js"),
        "title": _text(f"{report.config.hash[:12]}, seed {report.seed}"),
        "verdict": _verdict(report),
        "facts": _facts(report),
        "reproducer": _reproducer(report.reproducer),
        "counts": _counts(report),
        "outputs": _rows_or_none(
            ("queue", "messages"), [(queue, len(messages)) for queue, messages in report.outputs.items()]
        ),
        "assertions": _rows_or_none(
            ("assertion", "calls", "held"),
            [(f"{kind} {name!r}", use.calls, use.held) for (kind, name), use in report.assertions.items()],
        ),
        "shown": _shown(found),
        "trace": "".join(_row(each) for each in found.drawn),
        "data": json.dumps(_data(found), separators=(",", ":")).replace("<", "\\u003c"),
    }
    return _MARK.sub(lambda mark: parts[mark[1]], _part("page.html"))


def _part(name: str) -> str:
    return (files(simulation) / "page_parts" / name).read_text(encoding="utf-8")


def _text(value: object, most: int = MOST_NAME) -> str:
    return escape(bounded(str(value), most))


def _verdict(report: "SimulationReport") -> str:
    if not report.broken:
        return '<p class="verdict good">Everything held.</p>'
    shown = [
        f"<li><b>{_text(broken.name)}</b> {_text(broken.text, MOST_BROKEN_CHARACTERS)}"
        + ("</li>" if broken.at is None else f' <span class="note">at {broken.at:.6f} s</span></li>')
        for broken in report.broken[:MOST_ROWS]
    ]
    if len(report.broken) > MOST_ROWS:
        shown.append(f"<li>and {len(report.broken) - MOST_ROWS} more</li>")
    return f'<div class="verdict bad"><p>Broken:</p><ul>{"".join(shown)}</ul></div>'


def _facts(report: "SimulationReport") -> str:
    until = "its end" if report.until is None else f"{report.until:g} s"
    facts = {
        "config": report.config.hash[:12] + (" (a smaller one than given)" if report.is_smaller else ""),
        "seed": report.seed,
        "queue": report.queue,
        "processes": report.processes,
        "run until": until,
        "virtual time": f"{report.seconds:.6f} s",
        "ended": "yes" if report.ended else "no",
        "factflow-engine": __version__,
    }
    return "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in facts.items())


def _reproducer(line: str) -> str:
    if len(line) > MOST_LINE:
        cut = f"The line has {len(line)} characters: print report.reproducer to have it."
        return f'<p class="note">{cut}</p>'
    return f'<div class="line"><button type="button" id="copy">copy</button><code id="line">{escape(line)}</code></div>'


def _counts(report: "SimulationReport") -> str:
    counts = [
        (name.replace("_", " "), getattr(report.counts, name)) for name in report.counts.__slots__ if name != "runs"
    ]
    outcomes = [(str(outcome).replace("_", "-"), number) for outcome, number in report.outcomes.items()]
    return "".join(
        f"<li{'' if number else ' class=zero'}><b>{number}</b> {_text(name)}</li>" for name, number in counts + outcomes
    )


def _rows_or_none(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return _EMPTY
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows[:MOST_ROWS])
    more = f'<p class="note">and {len(rows) - MOST_ROWS} more</p>' if len(rows) > MOST_ROWS else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cells(row: Iterable[object]) -> str:
    return "".join(f"<td>{_text(cell, MOST_CHARACTERS)}</td>" for cell in row)


def _shown(found: Picture) -> str:
    if not found.count:
        return "The trace is empty."
    shown = f"All {found.count} events are shown."
    if found.count > len(found.drawn):
        shown = (
            f"{len(found.drawn)} of {found.count} events are shown: the first, the last, and of those between the first "
            "retries, failures, faults, ends of processes and changes of breakers."
        )
    if found.left_out_bands:
        shown += f" {found.left_out_bands} spans of breakers and processes are not."
    assert len(found.drawn) <= MOST_SHOWN
    return shown


def _row(drawn: Drawn) -> str:
    event = drawn.event
    place = f"{event.route}/{event.stage}" if event.stage else event.route
    process = "" if event.process < 0 else f"p{event.process}"
    return (
        f'<tr class="{drawn.kind}"><td>{event.at_ns / 1e9:.6f}</td><td>{process}</td><td>{_text(place)}</td>'
        f"<td>{_text(event.message)}</td><td>{_text(event.event)}</td><td>{_text(event.detail, MOST_CHARACTERS)}</td></tr>"
    )


def _data(found: Picture) -> dict[str, Any]:
    """Return what the script draws: times in microseconds; kinds and lanes by number; an event for each row."""
    numbers = {lane: number for number, lane in enumerate(found.lanes)}
    kinds = {kind: number for number, kind in enumerate(KINDS)}
    return {
        "end": _micros(found.end_ns),
        "gap": None if found.gap_ns is None else [_micros(at_ns) for at_ns in found.gap_ns],
        "kinds": KINDS,
        "visits": VISITS,
        "marked": [kinds[kind] for kind in KINDS if kind in MARKED],
        "lanes": [
            [bounded(lane.group, MOST_NAME), bounded(lane.name, MOST_NAME), int(lane.is_queue)] for lane in found.lanes
        ],
        "events": [
            [
                kinds[each.kind],
                numbers[each.lane],
                _micros(each.start_ns),
                _micros(each.event.at_ns),
                _micros(each.wait_ns),
                bounded(each.event.message, MOST_NAME),
            ]
            for each in found.drawn
        ],
        "bands": [
            [numbers[band.lane], band.state, band.process, _micros(band.start_ns), _micros(band.end_ns)]
            for band in found.bands
        ],
    }


def _micros(ns: int) -> int:
    return round(ns / 1000)
