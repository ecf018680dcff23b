"""Progress for logs and pipes: a line at the start, one every few seconds (or minute without movement), one at the end."""

from typing import ClassVar, Final

from rich.console import Console
from rich.text import Text

from factflow_engine.cli.limits import limit_lines
from factflow_engine.cli.progress.base import Progress
from factflow_engine.cli.text import clean
from factflow_engine.runtime.report import ExecutionStatistics, RouteStatistics

_MOST_ROUTES: Final = 4
_MOST_WAITS: Final = 3
_STILL_SECONDS: Final = 60.0
"""Interval of lines while nothing moves, in seconds."""


class PlainProgress(Progress):
    """Display that prints a line at each call; it names only routes that have work, and of many routes the busiest."""

    interval_seconds: ClassVar[float] = 3.0

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._shown: tuple[float, object] | None = None

    def show(self, statistics: ExecutionStatistics) -> None:
        """Print a line, unless nothing has moved since the last one, less than a minute ago."""
        seconds, state = statistics.elapsed_seconds, (_state(statistics), self.remark)
        if self._shown is not None and self._shown[1] == state and seconds < self._shown[0] + _STILL_SECONDS:
            return
        self._shown = seconds, state
        self._print(statistics)

    def end(self, statistics: ExecutionStatistics) -> None:
        """Print the last line."""
        self._print(statistics)

    def _print(self, statistics: ExecutionStatistics) -> None:
        self._console.print(
            Text("; ".join(filter(None, [progress_line(statistics), clean(self.remark)]))), soft_wrap=True
        )


def _state(statistics: ExecutionStatistics) -> object:
    """Return the statistics without the times."""
    waits = [(wait.route, wait.stage, wait.by, wait.messages) for wait in statistics.waits]
    return statistics.status, dict(statistics.routes), waits


def progress_line(statistics: ExecutionStatistics) -> str:
    """Return one line: time, totals, the routes that have work, limits that adapt, and what messages wait for."""
    routes = statistics.routes
    ended = sum(statistics.outcomes.values())
    failed = sum(route.failed for route in routes.values())
    line = f"factflow: {statistics.elapsed_seconds:.1f} s, {statistics.status}, ended {ended:,}, failed {failed:,}"
    busy = [(name, route) for name, route in routes.items() if route.in_flight or route.waiting]
    busy.sort(key=lambda item: -(item[1].in_flight + item[1].waiting))
    parts = [_route_part(name, route) for name, route in busy[:_MOST_ROUTES]]
    if len(busy) > _MOST_ROUTES:
        parts.append(f"and {len(busy) - _MOST_ROUTES} more routes")
    parts += limit_lines(statistics.limits)
    parts += [clean(str(wait)) for wait in statistics.waits[:_MOST_WAITS]]
    if len(statistics.waits) > _MOST_WAITS:
        parts.append(f"and {len(statistics.waits) - _MOST_WAITS} more waits")
    return "; ".join([line, *parts])


def _route_part(name: str, route: RouteStatistics) -> str:
    return clean(
        f"{name}: in {route.received:,}, out {route.emitted:,}, in flight {route.in_flight:,}/{route.limit:,}, "
        f"waiting {route.waiting:,}"
    )
