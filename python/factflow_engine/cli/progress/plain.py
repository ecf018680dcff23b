"""Progress for logs and pipes: one line now, one every few seconds, one at the end."""

from typing import ClassVar, Final

from rich.text import Text

from factflow_engine.cli.progress.base import Progress
from factflow_engine.cli.text import clean
from factflow_engine.runtime.report import ExecutionStatistics, RouteStatistics

_MOST_ROUTES: Final = 4


class PlainProgress(Progress):
    """A line at each call; routes with nothing to do are left out of it, and of many the busiest are named."""

    interval_seconds: ClassVar[float] = 3.0

    def show(self, statistics: ExecutionStatistics) -> None:
        """Print a line."""
        self._console.print(Text(progress_line(statistics)), soft_wrap=True)

    def end(self, statistics: ExecutionStatistics) -> None:
        """Print the last line."""
        self.show(statistics)


def progress_line(statistics: ExecutionStatistics) -> str:
    """One line: time, totals, and the routes that have work."""
    routes = statistics.routes
    ended = sum(statistics.outcomes.values())
    failed = sum(route.failed for route in routes.values())
    line = f"factflow: {statistics.elapsed_seconds:.1f} s, {statistics.status}, ended {ended:,}, failed {failed:,}"
    busy = [(name, route) for name, route in routes.items() if route.in_flight or route.waiting]
    busy.sort(key=lambda item: -(item[1].in_flight + item[1].waiting))
    parts = [_route_part(name, route) for name, route in busy[:_MOST_ROUTES]]
    if len(busy) > _MOST_ROUTES:
        parts.append(f"and {len(busy) - _MOST_ROUTES} more routes")
    return "; ".join([line, *parts])


def _route_part(name: str, route: RouteStatistics) -> str:
    paused = f", paused: {', '.join(route.pauses)}" if route.pauses else ""
    return clean(
        f"{name}: in {route.received:,}, out {route.emitted:,}, in flight {route.in_flight:,}/{route.limit:,}, "
        f"waiting {route.waiting:,}{paused}"
    )
