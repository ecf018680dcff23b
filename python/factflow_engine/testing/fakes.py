"""Stand-ins for the engine's objects, for authors who test `process` without an engine.

Free of any test framework. Messages pass the real encoding, so that a test sees what an execution would show.
"""

import inspect
from collections.abc import AsyncIterable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from factflow_engine.frames import pack, unpack
from factflow_protocols import Emit, PipelineAdapter, PipelineContext, StageInfo, StatefulAdapter

_UNDECODED: Any = object()


class FakeContext(PipelineContext):
    """A `PipelineContext` made from values.

    Args:
        message: The message; encoded at once, so that a value that a message cannot carry is refused here.
        headers: The message's headers.
        key: Its key.
        message_id: 32 hexadecimal digits.
        correlation_id: The message's own id unless given.
        parent_id: None for a root.
        attempt: Number of the attempt, from 1.
        execution_id: Any text.
        route: Id of the route.
        stage: Name of the stage.

    Example:
        context = FakeContext({"text": "hello"})
        assert await outputs(registry.create("shout", {}), context) == [{"text": "HELLO"}]
    """

    __slots__ = (
        "_attempt", "_correlation_id", "_execution_id", "_headers", "_key", "_message", "_message_id", "_parent_id",
        "_payload", "_route", "_stage",
    )  # fmt: skip

    def __init__(
        self,
        message: Any = None,
        *,
        headers: Mapping[str, Any] | None = None,
        key: str | None = None,
        message_id: str = "0" * 31 + "1",
        correlation_id: str | None = None,
        parent_id: str | None = None,
        attempt: int = 1,
        execution_id: str = "test",
        route: str = "route",
        stage: str = "stage",
    ) -> None:
        self._payload = pack(message)
        self._message = _UNDECODED
        self._headers = MappingProxyType(dict(headers or {}))
        self._key = key
        self._message_id = message_id
        self._correlation_id = message_id if correlation_id is None else correlation_id
        self._parent_id = parent_id
        self._attempt = attempt
        self._execution_id = execution_id
        self._route = route
        self._stage = stage

    @property
    def message(self) -> Any:
        """See `PipelineContext`."""
        if self._message is _UNDECODED:
            self._message = unpack(self._payload)
        return self._message

    @property
    def payload(self) -> bytes:
        """See `PipelineContext`."""
        return self._payload

    @property
    def headers(self) -> Mapping[str, Any]:
        """See `PipelineContext`."""
        return self._headers

    @property
    def key(self) -> str | None:
        """See `PipelineContext`."""
        return self._key

    @property
    def message_id(self) -> str:
        """See `PipelineContext`."""
        return self._message_id

    @property
    def correlation_id(self) -> str:
        """See `PipelineContext`."""
        return self._correlation_id

    @property
    def parent_id(self) -> str | None:
        """See `PipelineContext`."""
        return self._parent_id

    @property
    def attempt(self) -> int:
        """See `PipelineContext`."""
        return self._attempt

    @property
    def execution_id(self) -> str:
        """See `PipelineContext`."""
        return self._execution_id

    @property
    def route(self) -> str:
        """See `PipelineContext`."""
        return self._route

    @property
    def stage(self) -> str:
        """See `PipelineContext`."""
        return self._stage


async def outputs(adapter: PipelineAdapter, context: PipelineContext) -> list[Any]:
    """Call `process` once and list its results, with emitted messages pulled to the end, without the extras of `Emit`.

    A synchronous `process` is called in this thread. A filtered message gives an empty list, a forwarded one itself.

    Raises:
        Exception: An exception of `process`, or of the iterator that it emitted.
    """
    returned = adapter.process(context)
    result = await returned if inspect.isawaitable(returned) else returned
    if result is None:
        return []
    if result.is_forward:
        return [unpack(context.payload)]
    if result.emitted is None:
        return [_carried(result.message)]
    return await _pulled(result.emitted)


async def open_stage(
    adapter: StatefulAdapter,
    directory: Path,
    *,
    execution_id: str = "test",
    route: str = "route",
    stage: str = "stage",
    resumed: bool = False,
    durable: bool = False,
    kept: bool = False,
) -> None:
    """Call `open` as the engine would, for a configuration in this folder; see `StageInfo`."""
    await adapter.open(
        StageInfo(
            execution_id=execution_id,
            route=route,
            stage=stage,
            directory=directory,
            resumed=resumed,
            durable=durable,
            kept=kept,
        )
    )


async def finished(adapter: StatefulAdapter) -> list[Any]:
    """Call `finish` and list the messages that it emits.

    Example:
        adapter = registry.create("count_by_field", {"field": "lang"})
        await open_stage(adapter, Path())
        await outputs(adapter, FakeContext({"lang": "en"}))
        [summary] = await finished(adapter)
        assert summary["counts"] == {"en": 1}
        await adapter.close()
    """
    result = await adapter.finish()
    if result is None:
        return []
    if result.is_forward:
        raise TypeError("finish() has no message to forward; return AdapterResult(message=...) or None")
    return [_carried(result.message)] if result.emitted is None else await _pulled(result.emitted)


async def _pulled(emitted: Iterable[Any] | AsyncIterable[Any]) -> list[Any]:
    if isinstance(emitted, AsyncIterable):
        return [_carried(child) async for child in emitted]
    return [_carried(child) for child in emitted]


def _carried(value: Any) -> Any:
    """Return the value as the next stage would see it."""
    return unpack(pack(value.payload if isinstance(value, Emit) else value))
