"""Recording of one execution's lineage, as its configuration says: in which store, and what of it.

Kept separate from `assembly` because only this module decides whose store it is, and who closes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import trio

from factflow_engine.config.hiding import Hiding
from factflow_engine.error_texts import describe
from factflow_engine.errors import NoLineageError
from factflow_engine.lineage.counts import LineageCounts
from factflow_engine.lineage.recorder import LineageRecorder, RecorderSettings
from factflow_engine.runtime.execution.plan import ExecutionPlan
from factflow_engine.runtime.hop.lineage import PendingVisits, RouteRecording, names_of
from factflow_engine.runtime.hop.workers import Workers
from factflow_engine.runtime.stages.stage import Stage
from factflow_engine.seams import Hooks
from factflow_protocols import LineageSink, RetainingLineage

if TYPE_CHECKING:
    from factflow_engine.config import LineageConfig, PipelineGlobalConfig


class ExecutionLineage:
    """Recording of one execution, or none: `async with lineage: ...` writes what the block's messages do.

    Args:
        plan: Plan of the execution.
        workers: Workers of the execution.
        redacted: Removes secrets from a text.

    Raises:
        NoLineageError: Lineage is to be recorded, and there is no store.
        LineageUrlError: The configuration's store cannot be used.
    """

    def __init__(self, plan: ExecutionPlan, workers: Workers, redacted: Callable[[str], str]) -> None:
        config = plan.config
        self._redacted = redacted
        self._recorder: LineageRecorder | None = None
        self._close_seconds = config.orchestrator.close_seconds
        self._own: LineageSink | None = None  # opened here, and so closed here
        self.close_error: str | None = None
        self._places: Final = {route_id: place for place, route_id in enumerate(config.routes)}
        self._stages: Final = {
            route_id: {stage.name: place for place, stage in enumerate(route.adapters)}
            for route_id, route in config.routes.items()
        }
        hooks = plan.seams.hooks
        section = None if config.lineage is None or config.lineage.mode == "off" else config.lineage
        self._counts: Final = section is not None
        if section is None and hooks is None:
            return
        sink, is_own = (None, False) if section is None else self._sink_of(section, plan)
        pending = PendingVisits(workers.all, plan.seams.clock.monotonic_ns)
        self._recorder = LineageRecorder(
            sink,
            plan.execution_id,
            names_of(config, redacted),
            _settings(section, config, hooks),
            clock=plan.seams.clock,
            redacted=redacted,
            note_pending=pending.note,
            turn=trio.Lock() if is_own else plan.lineage_turn,
            is_drained=hooks is not None,
        )
        if hooks is not None:
            hooks.rows(plan.execution_id, self._recorder.drain)

    def _sink_of(self, section: LineageConfig, plan: ExecutionPlan) -> tuple[LineageSink, bool]:
        """Return the store, and whether it is the execution's own."""
        sink = plan.lineage
        if section.url is not None:
            # Imported late: most programs give the store, or record nothing.
            from factflow_engine.lineage.moving import open_movable  # noqa: PLC0415

            sink = self._own = open_movable(section.url, directory=plan.config.directory, seams=plan.seams)
        if sink is None:
            raise NoLineageError
        _retain(sink, section)
        return sink, self._own is not None

    def of_route(self, route_id: str, stages: Sequence[Stage]) -> RouteRecording | None:
        """Return the recording of a route with these stages; None if nothing is recorded."""
        if self._recorder is None:
            return None
        places = self._stages[route_id]
        native = self._recorder.route(
            self._places[route_id], [(places[stage.info.stage], stage.is_step) for stage in stages]
        )
        return RouteRecording(native, self._redacted)

    def counts(self) -> LineageCounts | None:
        """Return the numbers of rows so far; None if nothing is recorded."""
        return self._recorder.counts() if self._recorder is not None and self._counts else None

    async def __aenter__(self) -> Self:
        if self._recorder is not None:
            await self._recorder.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Write what is left, and close the store if it is the execution's own.

        Cancellation: none; writing and closing have budgets of their own.
        """
        try:
            if self._recorder is not None:
                await self._recorder.__aexit__(kind, error, traceback)
        finally:
            if self._own is not None:
                await self._close(self._own)

    async def _close(self, sink: LineageSink) -> None:
        with trio.CancelScope(shield=True), trio.move_on_after(self._close_seconds) as scope:
            try:
                await sink.close()
            except Exception as failure:  # noqa: BLE001 - reported with the execution, whose work is done
                self.close_error = f"lineage: {self._redacted(describe(failure))}"
        if scope.cancelled_caught:
            self.close_error = f"lineage: did not close within {self._close_seconds:g} s"


def _settings(section: LineageConfig | None, config: PipelineGlobalConfig, hooks: Hooks | None) -> RecorderSettings:
    """Return the settings of a recorder; a simulated run follows all messages, whatever is sampled."""
    hashes = hooks is not None and hooks.hashes_payloads
    if section is None:
        return RecorderSettings(hash_payloads=hashes, secrets=_secrets_of(config))
    return RecorderSettings(
        sample_rate=section.sample_rate if section.mode == "sampled" and hooks is None else 1.0,
        hash_payloads=section.hash_payloads or hashes,
        record_values=section.record_values,
        buffer_bytes=section.buffer_bytes,
        finish_seconds=section.finish_seconds,
        secrets=_secrets_of(config),
    )


def _secrets_of(config: PipelineGlobalConfig) -> list[tuple[str, str]]:
    """Return all spellings of values from the environment; a text that is not UTF-8 is left out, for no message has it."""
    found = Hiding(config.secrets).spellings().items()
    return [(spelling, written) for spelling, written in found if spelling.encode(errors="ignore").decode() == spelling]


def _retain(sink: object, section: LineageConfig) -> None:
    """Tell a store how much to keep, if it removes rows by itself."""
    if isinstance(sink, RetainingLineage):
        sink.retain(days=section.retention_days, total_bytes=section.retention_bytes)
