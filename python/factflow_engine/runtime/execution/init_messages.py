"""Init messages of an execution: published once it runs, unless it resumes an earlier one.

Kept separate from `transport.starts`, which publishes them exactly once: this module handles a provider's faults, and
the notices for operators.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from factflow_engine.runtime.stages.isolation import FaultError, contained
from factflow_engine.runtime.transport.resumption import Start
from factflow_protocols import Begun

if TYPE_CHECKING:
    from factflow_engine.config import InitMessageConfig

logger = logging.getLogger("factflow_engine.runtime")


class InitMessages:
    """Publisher of the init messages.

    Attributes:
        begun: How the execution was started; None before.
    """

    def __init__(
        self,
        messages: Sequence[InitMessageConfig],
        start: Start,
        *,
        on_death: Callable[[str, BaseException], None],
    ) -> None:
        """Prepare.

        Args:
            messages: The messages, in order.
            start: Publishes them, once.
            on_death: Called with the operation that a provider could not do, and the error.
        """
        self.begun: Begun | None = None
        self._messages = messages
        self._start = start
        self._on_death = on_death

    async def look(self) -> None:
        """Check whether messages of an earlier execution of this id are left; must be called before any is carried."""
        try:
            await contained(self._start.look())
        except FaultError as fault:
            self._on_death("asking what is left", fault.error)

    async def publish(self) -> None:
        """Publish the messages, unless the execution is resumed.

        Cancellation: some of them may have been published; if an execution can be resumed, also after the end of the
        process, the next one publishes the rest.
        """
        try:
            self.begun = await contained(self._start.begin(self._messages))
        except FaultError as fault:
            self._on_death("publishing the init messages", fault.error)
            return
        if self._messages and not self.begun.published:
            logger.info("%s", _going_on(self.begun, len(self._messages)))


def what_is_left(begun: Begun) -> str:
    """Describe the work that a start found left: messages, and stages that have not finished."""
    messages = begun.left - begun.unfinished
    parts = [f"{messages:,} message{'s' * (messages != 1)}"] if messages else []
    if begun.unfinished:
        parts.append(
            f"{begun.unfinished:,} stage{'s that have' if begun.unfinished != 1 else ' that has'} not finished"
        )
    return " and ".join(parts) or "nothing to handle"


def _going_on(begun: Begun, messages: int) -> str:
    init = "init message is" if messages == 1 else f"{messages} init messages are"
    if begun.left:
        return f"the execution goes on with what is left, {what_is_left(begun)}; its {init} not published again"
    why = "another process has begun it, or it was not ended when its process died"
    return f"the execution goes on, with nothing left to handle: {why}; its {init} not published again"
