"""Adapters for drawn configurations: small, and functions of the message, the attempt and the messages before it.

Kept separate from the strategies because they are ordinary adapters. None reads a clock, draws, or has an effect outside
of the execution, so that two runs of a configuration differ only by what the engine does.
"""

from typing import Any, ClassVar, Final

import trio
from pydantic import BaseModel, ConfigDict, Field

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext, Reject, RetryLater, StatefulAdapter


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldConfig(_Config):
    """Name of a field of messages."""

    field: str = Field(min_length=1, max_length=64, examples=["id", "kind", "total"])


class SetFieldConfig(FieldConfig):
    """Field to set, and its value."""

    value: int | str | bool | None = Field(examples=[0, 1, "a", "b", True, None])


class CopiesConfig(_Config):
    """Number of messages to emit for one."""

    copies: int = Field(default=2, ge=0, le=3)


class TimesConfig(_Config):
    """Number of attempts that fail."""

    times: int = Field(default=1, ge=0, le=3)


class SleepConfig(_Config):
    """Length of a sleep."""

    seconds: float = Field(ge=0, le=60, examples=[0, 0.1, 1, 10])


class SizeConfig(_Config):
    """Number of messages in a batch."""

    size: int = Field(default=2, ge=1, le=4)


def _with_field(message: Any, name: str, value: Any) -> Any:
    return {**message, name: value} if isinstance(message, dict) else {name: value}


class Forward(PipelineAdapter):
    """Adapter that passes each message on as it came."""

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Pass the message on."""
        del context
        return AdapterResult.forward()


class SetField(PipelineAdapter):
    """Adapter that sets a field, in a thread or a worker process; a message that is no map becomes one."""

    config_model: ClassVar[type[Any] | None] = SetFieldConfig

    def __init__(self, config: SetFieldConfig) -> None:
        self._config = config

    def process(self, context: PipelineContext) -> AdapterResult:
        """Set the field."""
        return AdapterResult(message=_with_field(context.message, self._config.field, self._config.value))


class Keep(PipelineAdapter):
    """Adapter that filters messages without a field, or with one that is false, zero or empty."""

    config_model: ClassVar[type[Any] | None] = FieldConfig

    def __init__(self, config: FieldConfig) -> None:
        self._field = config.field

    async def process(self, context: PipelineContext) -> AdapterResult | None:
        """Pass the message on, or end it."""
        message = context.message
        return AdapterResult.forward() if isinstance(message, dict) and message.get(self._field) else None


class FanOut(PipelineAdapter):
    """Adapter that emits copies of a message, each with its number in the field `copy`."""

    config_model: ClassVar[type[Any] | None] = CopiesConfig

    def __init__(self, config: CopiesConfig) -> None:
        self._copies = config.copies

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Emit the copies, lazily."""
        message = context.message
        return AdapterResult(emitted=(_with_field(message, "copy", number) for number in range(self._copies)))


class FailFirst(PipelineAdapter):
    """Adapter whose first attempts at each message fail with `OSError`."""

    config_model: ClassVar[type[Any] | None] = TimesConfig

    def __init__(self, config: TimesConfig) -> None:
        self._times = config.times

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Fail, or pass the message on."""
        if context.attempt <= self._times:
            raise OSError(f"attempt {context.attempt} of {self._times} that fail")
        return AdapterResult.forward()


class Fail(PipelineAdapter):
    """Adapter that fails each attempt with `ValueError`."""

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Fail."""
        raise ValueError(f"attempt {context.attempt} fails, as each does")


class RejectAll(PipelineAdapter):
    """Adapter that rejects each message: no retry."""

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Reject the message."""
        raise Reject(f"rejected at {context.stage}")


class Defer(PipelineAdapter):
    """Adapter that asks for each message once more, after a second, before it passes it on."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Put the message off the first time."""
        if context.message_id not in self._seen:
            self._seen.add(context.message_id)
            raise RetryLater(1, "not yet")
        return AdapterResult.forward()


class Sleep(PipelineAdapter):
    """Adapter that sleeps before it passes a message on."""

    config_model: ClassVar[type[Any] | None] = SleepConfig

    def __init__(self, config: SleepConfig) -> None:
        self._seconds = config.seconds

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Sleep."""
        del context
        await trio.sleep(self._seconds)
        return AdapterResult.forward()


class Count(StatefulAdapter):
    """Adapter that numbers the messages of an execution, from 1, in the field `count`; retries count again."""

    keeps_state: ClassVar[bool | None] = True

    def __init__(self) -> None:
        self._count = 0

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Number the message."""
        self._count += 1
        return AdapterResult(message=_with_field(context.message, "count", self._count))

    def snapshot(self) -> int:
        """Return the count."""
        return self._count

    def restore(self, state: Any) -> None:
        """Add the count of another process, or of an earlier one."""
        self._count += state


class Batch(StatefulAdapter):
    """Adapter that collects messages and passes on a list of them when there are enough, and at the end."""

    config_model: ClassVar[type[Any] | None] = SizeConfig
    keeps_state: ClassVar[bool | None] = True

    def __init__(self, config: SizeConfig) -> None:
        self._size = config.size
        self._batch: list[Any] = []

    async def process(self, context: PipelineContext) -> AdapterResult | None:
        """Collect the message; it ends here unless it is the last of a batch."""
        self._batch.append(context.message)
        return self._taken() if len(self._batch) >= self._size else None

    async def finish(self) -> AdapterResult | None:
        """Pass on an incomplete batch."""
        return self._taken() if self._batch else None

    def snapshot(self) -> list[Any]:
        """Return the messages of the batch."""
        return list(self._batch)

    def restore(self, state: Any) -> None:
        """Add the messages of another process, or of an earlier one."""
        self._batch += state

    def _taken(self) -> AdapterResult:
        taken, self._batch = self._batch, []
        return AdapterResult(message=taken)


EXAMPLES: Final[dict[str, type[PipelineAdapter]]] = {
    "forward": Forward,
    "set_field": SetField,
    "keep": Keep,
    "fan_out": FanOut,
    "fail_first": FailFirst,
    "fail": Fail,
    "reject": RejectAll,
    "defer": Defer,
    "sleep": Sleep,
    "count": Count,
    "batch": Batch,
}
"""Classes by adapter type, the plainest first."""


def registry_of_examples() -> ValidatingAdapterRegistry:
    """Return a new registry of the example adapters, and of nothing else.

    `forward`, `set_field`, `keep` (filters by a field), `fan_out`, `fail_first` (attempts fail, then one succeeds),
    `fail`, `reject`, `defer` (asks for another attempt once), `sleep`, `count` and `batch` (both keep state). Each is a
    function of the message, the attempt and the messages before it.
    """
    registry = ValidatingAdapterRegistry.empty()
    for name, adapter in EXAMPLES.items():
        registry.register(name, adapter)
    return registry
