"""`delay`: delay each message."""

from typing import Any, ClassVar

import trio
from pydantic import Field

from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext


class DelayConfig(BuiltinConfig):
    """The length of the delay."""

    seconds: float = Field(ge=0, le=86_400, allow_inf_nan=False)
    """Delay of each message, in seconds, at most a day. The message is in flight meanwhile."""


class Delay(PipelineAdapter):
    """Adapter that passes each message on after a delay; as many wait at a time as the route's limit allows."""

    config_model: ClassVar[type[Any] | None] = DelayConfig
    summary: ClassVar[str] = "Pass each message on after a number of seconds."

    def __init__(self, config: DelayConfig) -> None:
        self._seconds = config.seconds

    async def process(self, context: PipelineContext) -> AdapterResult:  # noqa: ARG002 - the message is not looked at
        """Wait. Cancellation ends the wait at once."""
        await trio.sleep(self._seconds)
        return AdapterResult.forward()
