"""Opening of one execution: subscriptions, stages, and what an earlier execution of the same id has left.

Kept separate from `lifecycle`, which calls it and decides what a failure means.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import trio

from factflow_engine.queues.naming import prefix_of
from factflow_engine.runtime.execution.init_messages import InitMessages
from factflow_engine.runtime.execution.orphans import orphans_among, remedy
from factflow_engine.runtime.execution.route import ReactiveRouteProcessor
from factflow_engine.runtime.report import OrphanedQueue
from factflow_engine.runtime.transport.base import Transport

logger = logging.getLogger("factflow_engine.runtime")


class Opening:
    """Opens the routes of one execution.

    Attributes:
        orphans: Queues with messages of this id that no route reads any more.
    """

    def __init__(
        self, execution_id: str, processors: Sequence[ReactiveRouteProcessor], transport: Transport, init: InitMessages
    ) -> None:
        """Prepare; `processors` are opened in their order."""
        self._prefix = prefix_of(execution_id)
        self._processors = processors
        self._transport = transport
        self._init = init
        self._goes_on = False  # another process of this id has begun the execution, as far as stages need to know
        self.orphans: tuple[OrphanedQueue, ...] = ()

    @property
    def is_first(self) -> bool:
        """True unless the execution was begun before, here or by another process."""
        begun = self._init.begun
        return not self._goes_on if begun is None else begun.published or begun.is_first

    async def run(self, routes: trio.Nursery, *, publish_init: bool) -> None:
        """Subscribe, open the stages, and find out what an earlier execution of this id has left.

        Raises:
            ExecutionStartError: A stage could not open, or cannot restore its state.
            QueueError: A subscription could not be made.

        Cancellation: routes that are open close with the nursery.
        """
        states = self._transport.states
        await self._transport.open(routes)
        self._goes_on = await self._transport.join()
        for processor in self._processors:
            if self._goes_on:
                processor.goes_on(states.kept, states.idle)
        for processor in self._processors:
            if processor.has_stages_to_open:
                await routes.start(processor.run)
        states.restore()
        await states.opened()
        if publish_init:
            await self._init.look()
        await self._name_orphans()

    async def begin_stages(self) -> None:
        """Note that the stages of this execution must finish, if this process has begun it.

        Raises:
            FaultError: The provider failed.
        """
        if self.is_first:
            await self._transport.states.begin(is_stored=self._transport.start.is_stored)

    async def _name_orphans(self) -> None:
        """Report messages of this id that no route reads any more."""
        transport, prefix = self._transport, self._prefix
        holdings = await transport.holdings()
        self.orphans = orphans_among(holdings, prefix=prefix, reads=transport.reads, named=transport.publishes_to)
        for orphan in self.orphans:
            logger.warning("%s", remedy(orphan, prefix))
