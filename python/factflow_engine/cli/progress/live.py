"""Progress on a terminal: a table of routes that is redrawn in place.

Redrawn by the session's own task. Rich's refresh thread stays off: nothing here runs outside trio.
"""

import sys
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import ClassVar, Final, Self, TypeAlias

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from factflow_engine.cli.limits import limit_lines
from factflow_engine.cli.progress.base import Progress
from factflow_engine.cli.text import clean
from factflow_engine.runtime.report import ExecutionStatistics, RouteStatistics

_MOST_WAITS: Final = 3
_GAP: Final = 2
"""Width of the space between columns, and of the table's edges together."""

_Form: TypeAlias = tuple[tuple[str, ...], list[list[Text]]]
"""Headings and rows of a table."""


class LiveProgress(Progress):
    """Display of a table of routes, as a context manager; the table is erased on exit.

    Lines that adapters print meanwhile appear above the table.
    """

    interval_seconds: ClassVar[float] = 0.2

    def __init__(self, console: Console, *, title: str) -> None:
        super().__init__(console)
        self._title = title
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # never move what a pipe is waiting for to the terminal
            redirect_stderr=True,
        )

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, traceback)

    def show(self, statistics: ExecutionStatistics) -> None:
        """Redraw the table."""
        table = live_table(statistics, title=self._title, width=self._console.width, remark=self.remark)
        self._live.update(table, refresh=True)


def live_table(statistics: ExecutionStatistics, *, title: str, width: int, remark: str = "") -> Table:
    """Return the table of an execution's routes; where names would be cut, without reasons of pauses, limits, or states."""
    table = Table(
        title=Text(clean(f"{title}: {statistics.status}, {statistics.elapsed_seconds:.1f} s", limit=200)),
        title_justify="left",
        caption=_caption(statistics, remark),
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    headings, rows = next(
        (form for form in _forms(statistics.routes) if _width(*form) <= width), _numbers(statistics.routes)
    )
    for heading in headings:
        is_text = heading in {"route", "state"}
        table.add_column(heading, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _forms(routes: Mapping[str, RouteStatistics]) -> Iterator[_Form]:
    """Yield forms of the table, the widest first."""
    headings, rows = _numbers(routes)
    for limits, state in ((True, _reason), (True, _state), (False, _state)):
        yield (
            (*headings[:4], *["limit"] * limits, *headings[4:], "state"),
            [
                [*row[:4], *[Text(f"{route.limit:,}")] * limits, *row[4:], state(route)]
                for row, route in zip(rows, routes.values(), strict=True)
            ],
        )


def _numbers(routes: Mapping[str, RouteStatistics]) -> _Form:
    """Return the narrowest form; if even that is too wide, names are folded."""
    rows = [
        [
            Text(clean(name)),
            *(Text(f"{number:,}") for number in (route.received, route.emitted, route.in_flight, route.waiting)),
            Text(f"{route.failed:,}", style="bold red" if route.failed else ""),
        ]
        for name, route in routes.items()
    ]
    return ("route", "in", "out", "in flight", "waiting", "failed"), rows


def _width(headings: tuple[str, ...], rows: list[list[Text]]) -> int:
    """Return the width of a form without anything cut."""
    columns = zip(*([Text(heading) for heading in headings], *rows), strict=True)
    return sum(max(cell.cell_len for cell in column) + _GAP for column in columns)


def _caption(statistics: ExecutionStatistics, remark: str) -> Text | None:
    """Return the remark, the limits and the waits, a line each; None if there are none."""
    lines = [Text(clean(remark))] if remark else []
    lines += [Text(line, style="dim") for line in limit_lines(statistics.limits)]
    lines += [Text(clean(str(wait), limit=300), style="yellow") for wait in statistics.waits[:_MOST_WAITS]]
    if len(statistics.waits) > _MOST_WAITS:
        lines.append(Text(f"and {len(statistics.waits) - _MOST_WAITS} more waits", style="yellow"))
    return Text("\n").join(lines) if lines else None


def _reason(route: RouteStatistics) -> Text:
    """Return the state of a route, with the reasons of its pauses."""
    return Text(clean("paused: " + ", ".join(route.pauses)), style="yellow") if route.pauses else _state(route)


def _state(route: RouteStatistics) -> Text:
    if route.pauses:
        return Text("paused", style="yellow")
    if route.in_flight:
        return Text("running", style="green")
    if route.retrying:
        return Text(f"retrying {route.retrying:,}", style="yellow")
    return Text("waiting" if route.waiting else "idle", style="dim")
