"""Progress on a terminal: a table of routes that is redrawn in place.

Redrawn by the session's own task. Rich's refresh thread stays off: nothing here runs outside trio.
"""

import sys
from types import TracebackType
from typing import ClassVar, Final, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from factflow_engine.cli.progress.base import Progress
from factflow_engine.cli.text import clean
from factflow_engine.runtime.report import ExecutionStatistics, RouteStatistics

_MOST_WAITS: Final = 3
_WIDE: Final = 72
"""Columns that the full table needs, with numbers of five digits."""


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
        self._live.update(live_table(statistics, title=self._title, width=self._console.width), refresh=True)


def live_table(statistics: ExecutionStatistics, *, title: str, width: int) -> Table:
    """Return the table of an execution's routes; below 72 columns without their limits and states."""
    wide = width >= _WIDE
    table = Table(
        title=Text(clean(f"{title}: {statistics.status}, {statistics.elapsed_seconds:.1f} s", limit=200)),
        title_justify="left",
        caption=_waits(statistics),
        caption_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("route", min_width=6)  # names and states give way, numbers do not
    for heading in ("in", "out", "in flight", *(("limit",) if wide else ()), "waiting", "failed"):
        table.add_column(heading, justify="right", no_wrap=True)
    if wide:
        table.add_column("state")
    for name, route in statistics.routes.items():
        table.add_row(
            _flexible(name),
            f"{route.received:,}",
            f"{route.emitted:,}",
            f"{route.in_flight:,}",
            *((f"{route.limit:,}",) if wide else ()),
            f"{route.waiting:,}",
            Text(f"{route.failed:,}", style="bold red" if route.failed else ""),
            *((_state(route),) if wide else ()),
        )
    return table


def _waits(statistics: ExecutionStatistics) -> Text | None:
    """Return the waits, a line each; None if there are none."""
    lines = [clean(str(wait), limit=300) for wait in statistics.waits[:_MOST_WAITS]]
    if len(statistics.waits) > _MOST_WAITS:
        lines.append(f"and {len(statistics.waits) - _MOST_WAITS} more waits")
    return Text("\n".join(lines), style="yellow") if lines else None


def _state(route: RouteStatistics) -> Text:
    if route.pauses:
        return _flexible("paused: " + ", ".join(route.pauses), style="yellow")
    if route.in_flight:
        return Text("running", style="green")
    if route.retrying:
        return Text(f"retrying {route.retrying:,}", style="yellow")
    return Text("waiting" if route.waiting else "idle", style="dim")


def _flexible(text: str, style: str = "") -> Text:
    return Text(clean(text), style=style, no_wrap=True, overflow="ellipsis")
