"""The step beside a stage that stores what the stage was given, or what it made.

A step has a place of its own in the route, right before or after its stage: a message skips both or neither. So it sees
each message under its own id: the one that a stage changed or forwarded, the result of `finish`, and each of the
messages that a stage emitted, however many, when it begins its way through the rest of the route. A child's id derives
from its payload where it is made, natively; no second derivation is needed here, and a million children are stored as
they are pulled, under the route's limit.

The step is not the stage's dependency: its errors are not counted by the stage's circuit breaker, and its time neither
by that nor by a concurrency limit, the route's included. It is within the route's time limits. A stage that stores
nothing has no step, and pays nothing.

Kept separate from `stage` because the loop calls the step as it calls any stage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from factflow_engine.runtime.stages.results import FORWARD
from factflow_engine.seams import Clock
from factflow_engine.stages.writer import StagePlace, StageWriter
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext

if TYPE_CHECKING:
    from factflow_engine.config import StoreConfig


class Storing(PipelineAdapter):
    """Adapter of the step: stores the message, and passes it on unchanged."""

    def __init__(self, writer: StageWriter, *, clock: Clock, leave_out: Callable[[int], None]) -> None:
        """Prepare; `leave_out` is called with nanoseconds that the running message has spent on storing."""
        self._writer = writer
        self._clock = clock
        self._leave_out = leave_out

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Store the message; it goes on when that is durable.

        Raises:
            StageStorageError: The message cannot be stored as the configuration says.
            StorageError: The store failed.

        Cancellation: the old or the new object is there, and the message comes back.
        """
        begun_ns = self._clock.monotonic_ns()
        try:
            await self._writer.write(context)
        finally:
            self._leave_out(self._clock.monotonic_ns() - begun_ns)
        return FORWARD


def storing_step(section: StoreConfig, place: StagePlace, *, clock: Clock, leave_out: Callable[[int], None]) -> Storing:
    """Return the step that a stage's section describes."""
    writer = StageWriter(
        place,
        what=section.what,
        content_field=section.content_field,
        extension=section.extension,
        content_type=section.content_type,
        fields=section.metadata.fields,
    )
    return Storing(writer, clock=clock, leave_out=leave_out)
