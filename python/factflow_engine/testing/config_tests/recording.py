"""Recording of a run: what stages answered, what left, from which a test of the configuration is written.

Costs nothing in a run that nobody records. In one that is recorded, the message and the answer of each call of a recorded
stage are packed once more, and kept until the end. Kept separate from the file that is written (`recorded_file`), which
knows the whole run.
"""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.config import InitMessageConfig, PipelineGlobalConfig
from factflow_engine.error_texts import class_name, class_names, error_text
from factflow_engine.frames import pack, unpack
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.stages.results import not_a_result
from factflow_engine.runtime.transport.scoped_queue import ExecutionScopedQueue
from factflow_engine.testing.config_tests.observed import LeftMessage
from factflow_engine.testing.config_tests.suites import leaving, stages_of
from factflow_protocols import (
    AdapterResult,
    CircuitOpenError,
    Emit,
    Overloaded,
    QueueClosedError,
    Reject,
    RetryLater,
    StageInfo,
    StatefulAdapter,
)

PURE: Final = frozenset(
    {"count_by_field", "delay", "filter", "log", "pick_fields", "rename_fields", "set_fields", "split"}
)
"""Built-in adapters whose answers depend on nothing but the message and their configuration: they run in the test, too."""

MOST_BYTES: Final = 16 * 1024 * 1024
"""Packed bytes of messages and answers that a recording keeps."""

_MOST_OUTPUTS: Final = 1 << 20

Call = Callable[[Any], Awaitable[AdapterResult | None]]


@dataclass(slots=True)
class Answered:
    """Answer of a stage to one call, packed.

    Attributes:
        kind: `returns`, `emits`, `forwards`, `filters`, `sticks`, or empty if it only raised.
        value: Packed message that was returned.
        emitted: Packed payload, key and packed headers of each message that was emitted.
        headers: Packed headers; empty if there are none.
        error: Exception, as the models write it; None if there was none.
    """

    kind: str = ""
    value: bytes = b""
    emitted: list[tuple[bytes, str | None, bytes]] = field(default_factory=list)
    headers: bytes = b""
    error: dict[str, Any] | None = None


class Recording:
    """Recording of one run.

    Args:
        config: The pipeline.

    Attributes:
        calls: Answers by stage, in the order in which calls began: the packed message, the attempt, and the answer.
        finished: Answers of stages' `finish`, by stage.
        outputs: Messages that left, by queue.
        init: Init messages.
        renamed: Names of classes of exceptions that tests know under a base's name.
        is_full: True if it became too large: nothing more is kept.
    """

    def __init__(self, config: PipelineGlobalConfig) -> None:
        self.calls: dict[str, list[tuple[bytes, int, Answered]]] = {}
        self.finished: dict[str, list[Answered]] = {}
        self.outputs: dict[str, list[LeftMessage]] = {}
        self.init: tuple[InitMessageConfig, ...] = tuple(config.init_message)
        self.renamed: set[str] = set()
        self.is_full = False
        self._config = config
        self._queues = leaving(config)[0]
        self._stages = {stage for stage, kind in stages_of(config).items() if kind not in PURE}
        self._bytes = 0

    # -- stages -----------------------------------------------------------------------------------------------------

    def around_call(self, route: str, stage: str, call: Call) -> Call:
        """Return the call of a stage that is recorded; see `Seams.around_call`."""
        name = f"{route}/{stage}"
        if name not in self._stages:
            return call
        calls = self.calls.setdefault(name, [])

        async def recorded(context: Any) -> AdapterResult | None:
            if self.is_full:
                return await call(context)
            answer = Answered()
            calls.append((context.payload, context.attempt, answer))
            self._count(context.payload)
            try:
                result = await call(context)
            except Exception as error:
                answer.error = self._raised(error)
                raise
            except BaseException:
                answer.kind = "sticks"  # a time limit cancels it, or all of the run
                raise
            noted: AdapterResult | None = self._noted(answer, result)
            return noted

        return recorded

    def registry(self, registry: ValidatingAdapterRegistry) -> ValidatingAdapterRegistry:
        """Return a registry with the same types, of which what recorded stages add at their end is recorded."""
        copied = registry.copy()
        for kind in {kind for stage, kind in stages_of(self._config).items() if stage in self._stages}:
            spec = copied.get(kind)
            cls = spec.adapter_class
            if issubclass(cls, StatefulAdapter) and cls.finish is not StatefulAdapter.finish:
                copied._store(kind, self._finishing(cls), spec.config_model)
        return copied

    def _finishing(self, cls: type[StatefulAdapter]) -> type[StatefulAdapter]:
        """Return a subclass that notes what `finish` returns."""
        names: dict[int, str] = {}  # by identity: an adapter may be unhashable

        async def opening(adapter: StatefulAdapter, stage: StageInfo) -> None:
            names[id(adapter)] = f"{stage.route}/{stage.stage}"
            await cls.open(adapter, stage)

        async def finishing(adapter: StatefulAdapter) -> AdapterResult | None:
            result = await cls.finish(adapter)
            if result is None or self.is_full:
                return result
            answer = Answered()
            self.finished.setdefault(names[id(adapter)], []).append(answer)
            noted: AdapterResult | None = self._noted(answer, result)
            return noted

        own = {"open": opening, "finish": finishing, "__module__": cls.__module__, "__doc__": cls.__doc__}
        return type(cls.__name__, (cls,), own)

    def _noted(self, answer: Answered, result: Any) -> Any:
        """Note a result; return it, or one whose messages are noted when they are pulled."""
        try:
            return self._taken(answer, result)
        except Exception as error:  # noqa: BLE001 - no message can carry it: the engine says so, and the message fails
            answer.error = self._raised(error)
            return result

    def _taken(self, answer: Answered, result: Any) -> Any:
        if result is None:
            answer.kind = "filters"
            return None
        if not isinstance(result, AdapterResult):
            answer.error = {"type": "TypeError", "text": not_a_result(result)}  # as the engine says
            return result
        if result.is_forward:
            answer.kind = "forwards"
            return result
        if result.headers is not None:
            answer.headers = self._packed(dict(result.headers))
        emitted = result.emitted
        if emitted is None:
            answer.value = self._packed(result.message)
            answer.kind = "returns"
            return result
        answer.kind = "emits"
        if isinstance(emitted, (list, tuple)):
            for each in emitted:
                self._emitted(answer, each)
            return result
        if isinstance(emitted, AsyncIterable):
            return AdapterResult(emitted=_AsyncSource(self, answer, emitted), headers=result.headers)
        source = _Source if isinstance(emitted, Iterator) else _Iterable
        return AdapterResult(emitted=source(self, answer, emitted), headers=result.headers)

    def _emitted(self, answer: Answered, each: Any) -> None:
        if type(each) is Emit:
            headers = b"" if each.headers is None else self._packed(dict(each.headers))
            answer.emitted.append((self._packed(each.payload), each.key, headers))
        else:
            answer.emitted.append((self._packed(each), None, b""))

    def note_emitted(self, answer: Answered, each: Any) -> None:
        """Note a message that was pulled; one that none can carry fails its parent."""
        if self.is_full or answer.error is not None:
            return
        try:
            self._emitted(answer, each)
        except Exception as error:  # noqa: BLE001 - as above
            answer.error = self._raised(error)

    def note_raised(self, answer: Answered, error: Exception) -> None:
        """Note what a source of messages raised."""
        answer.error = self._raised(error)

    def _raised(self, error: Exception) -> dict[str, Any]:
        """Return an exception as the model of a test writes it."""
        found = raised_by(error)
        if found["type"] != class_name(error):
            self.renamed.add(class_name(error))
        return found

    def _packed(self, value: Any) -> bytes:
        packed = pack(value)
        self._count(packed)
        return packed

    def _count(self, packed: bytes) -> None:
        self._bytes += len(packed)
        if self._bytes > MOST_BYTES:
            self.is_full = True
            self.calls.clear()
            self.finished.clear()
            self.outputs.clear()

    # -- queues -----------------------------------------------------------------------------------------------------

    async def collect(self, provider: MemoryQueue, execution_id: str, nursery: trio.Nursery) -> None:
        """Collect what leaves an execution that is about to start, until its end.

        Args:
            provider: Its queues.
            execution_id: Its id.
            nursery: Nursery for the tasks that collect; they end with the execution.
        """
        for queue in self._queues:
            await nursery.start(self._collect, provider, execution_id, queue)

    async def _collect(
        self, provider: MemoryQueue, execution_id: str, queue: str, *, task_status: trio.TaskStatus[None]
    ) -> None:
        scoped = ExecutionScopedQueue(provider, execution_id)
        async with scoped.subscribe(queue, "recording", _MOST_OUTPUTS) as subscription:
            task_status.started()
            while True:
                try:
                    deliveries = await subscription.receive(_MOST_OUTPUTS)
                except QueueClosedError:
                    return
                for delivery in deliveries:
                    self._left(queue, delivery.message)
                await subscription.settle(deliveries)

    def _left(self, queue: str, message: Any) -> None:
        self._count(message.payload)
        if not self.is_full:
            self.outputs.setdefault(queue, []).append(
                LeftMessage(payload=unpack(message.payload), key=message.key, headers=dict(message.headers), at=0.0)
            )


class _Source(Iterator[Any]):
    """An iterator whose elements are noted when they are pulled."""

    def __init__(self, recording: Recording, answer: Answered, source: Iterable[Any]) -> None:
        self._recording = recording
        self._answer = answer
        self._source = iter(source)

    def __next__(self) -> Any:
        try:
            value = next(self._source)
        except StopIteration:
            raise
        except Exception as error:
            self._answer.error = self._recording._raised(error)
            raise
        self._recording._emitted(self._answer, value)
        return value

    def close(self) -> None:
        """Close the source, if it can be."""
        close = getattr(self._source, "close", None)
        if close is not None:
            close()


class _Iterable(Iterable[Any]):
    """An iterable that is no iterator, and so is not pulled in a thread."""

    def __init__(self, recording: Recording, answer: Answered, source: Iterable[Any]) -> None:
        self._parts = recording, answer, source

    def __iter__(self) -> Iterator[Any]:
        return _Source(*self._parts)


class _AsyncSource(AsyncIterator[Any]):
    """An async iterator whose elements are noted when they are pulled."""

    def __init__(self, recording: Recording, answer: Answered, source: AsyncIterable[Any]) -> None:
        self._recording = recording
        self._answer = answer
        self._source = aiter(source)

    async def __anext__(self) -> Any:
        try:
            value = await anext(self._source)
        except StopAsyncIteration:
            raise
        except Exception as error:
            self._answer.error = self._recording._raised(error)
            raise
        self._recording._emitted(self._answer, value)
        return value

    async def aclose(self) -> None:
        """Close the source, if it can be."""
        aclose = getattr(self._source, "aclose", None)
        if aclose is not None:
            await aclose()


def raised_by(error: Exception) -> dict[str, Any]:
    """Return an exception as the model of a test writes it."""
    match error:
        case RetryLater():
            return {"type": "RetryLater", "text": error.reason, "delay": error.delay_seconds}
        case Reject():
            return {"type": "Reject", "text": error.reason}
        case Overloaded():
            delay = {} if error.retry_after is None else {"delay": error.retry_after}
            return {"type": "Overloaded", "text": error_text(error), **delay}
        case CircuitOpenError():
            return {"type": "CircuitOpenError", "text": error.name, "delay": error.retry_after_seconds or 1.0}
    own, *above = class_names(error)
    bases = [name for name in above if name not in {"Exception", "BaseException", "object"}]
    found: dict[str, Any] = {"type": own, "text": error_text(error)}
    if type(error).__module__ != "builtins" and bases:
        found["bases"] = bases
    return found
