"""Changes of concurrency limits, as events of a simulated run's trace.

Kept separate from the run because only this module asks for limits, each time that all tasks wait; a configuration whose
limits are fixed is not asked at all.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import trio

from factflow_engine.runtime.execution.orchestrator import PipelineOrchestrator
from factflow_engine.testing.simulation.trace import TraceLog

if TYPE_CHECKING:
    from factflow_engine.config import BackpressureConfig, PipelineGlobalConfig


def has_moving_limits(config: "PipelineGlobalConfig") -> bool:
    """True if a limit of the configuration may change."""
    routes = config.routes.values()
    sections = [route.backpressure for route in routes]
    sections += [stage.backpressure for route in routes for stage in route.adapters]
    return any(_moves(section) for section in sections)


def _moves(section: "BackpressureConfig | None") -> bool:
    return section is not None and not section.is_fixed


class LimitNotes(trio.abc.Instrument):
    """Instrument that notes the last change of each limit, if it is another one than before.

    Of several changes of one limit within one instant, the last is noted.

    Args:
        executions: Returns the executions that run, by process.
        trace: The run's trace.
    """

    def __init__(self, executions: Callable[[], Mapping[int, PipelineOrchestrator]], trace: TraceLog) -> None:
        self._executions = executions
        self._trace = trace
        self._seen: dict[tuple[int, str], tuple[int, int]] = {}  # time of the change, and the limit after it

    def before_io_wait(self, timeout: float) -> None:
        """Look at all limits; trio calls it when no task is ready."""
        del timeout
        for process, execution in self._executions().items():
            for name, limit in execution.limits().items():
                change = limit.last_change
                if change is None:
                    continue
                at_ns, before = self._seen.get((process, name), (-1, change.before))
                if at_ns == change.at_ns:
                    continue
                self._seen[process, name] = change.at_ns, change.after
                detail = f"{before} -> {change.after}, {change.reason}"
                route, _, stage = name.partition("/")
                if name.startswith("group "):
                    route, stage, detail = "", "", f"{name}: {detail}"
                self._trace.note("~ limit", detail, process=process, route=route, stage=stage)
