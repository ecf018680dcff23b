"""One message through one adapter, without an engine: `run_adapter`.

Kept separate from `fakes`, whose pieces it puts together: this is for tests that want the outcome, and those for tests
that call an adapter themselves.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.adapters.class_checks import is_sync
from factflow_engine.testing.adapter_calls import AdapterRun
from factflow_engine.testing.adapter_calls import attempt as attempt_of
from factflow_engine.testing.fakes import FakeContext, finished, open_stage
from factflow_engine.testing.recording_storage import RecordingStorage
from factflow_engine.testing.registries import AnyAdapter, FakeUseError, adapter_of
from factflow_engine.testing.simulation.assertions import Assertions, Violation, observed
from factflow_engine.testing.virtual_time import in_virtual_time
from factflow_protocols import (
    FactflowError,
    PipelineAdapter,
    PipelineContext,
    StatefulAdapter,
    StorageBackendAdapter,
    StorageNotBoundError,
    StorageProtocol,
)
from factflow_protocols.assertions import is_observed

DEFAULT_SECONDS: Final = 3600.0
"""Default time limit of a call of `process`; in virtual time an adapter that waits for ever reaches it at once."""


class AssertionsBrokenError(FactflowError, AssertionError):
    """Assertions of an adapter, such as `always`, that did not hold.

    Attributes:
        violations: The assertions, in the order of their first time.
    """

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__("\n".join(map(str, violations)))


def run_adapter(
    adapter: PipelineAdapter | AnyAdapter,
    message: Any = None,
    *,
    config: Mapping[str, Any] | None = None,
    headers: Mapping[str, Any] | None = None,
    key: str | None = None,
    attempt: int | None = None,
    storage: StorageProtocol | None = None,
    directory: Path | None = None,
    seconds: float = DEFAULT_SECONDS,
) -> AdapterRun:
    """Give one message to an adapter, in a test without trio, and return what became of it.

    An async `process` runs in virtual time, so that waiting takes none; a synchronous one in a worker thread, in real
    time, as in production. A `StatefulAdapter` is opened before and finished and closed afterwards.

    Args:
        adapter: An adapter class, an instance, or a function of a context.
        message: The message, or a `PipelineContext` such as `FakeContext`.
        config: The stage's configuration, for a class; checked as the engine does.
        headers: Headers of the message.
        key: Its key.
        attempt: Number of the attempt, 1 by default.
        storage: Object store of a `StorageBackendAdapter` that has none; a `RecordingStorage` by default.
        directory: Folder for a `StatefulAdapter`; a temporary one by default.
        seconds: Time limit of `process` with what it emits: beyond it the outcome is `failed` with `NotReturnedError`.
            A worker thread is waited for all the same.

    Raises:
        FakeUseError: The arguments do not fit together, or trio runs already: await `run_adapter_async` there.
        pydantic.ValidationError: The configuration is wrong.
        AdapterRegistrationError: The engine could not use the class.
        AssertionsBrokenError: An assertion of the adapter did not hold (`factflow_protocols.always`).
        Exception: An error of `open`, `finish` or `close`, which would fail an execution.

    Example:
        def shout(context: PipelineContext) -> AdapterResult:
            return AdapterResult(message=context.message.upper(), headers={"loud": True})

        run = run_adapter(shout, "hello")
        assert (run.outcome, run.output, run.headers[0]["loud"]) == ("completed", "HELLO", True)
        assert run_adapter(shout, 7).outcome == "failed"
    """
    if trio.lowlevel.in_trio_run():
        raise FakeUseError("run_adapter() runs trio itself, and trio runs here: write await run_adapter_async(...)")
    given = adapter if isinstance(adapter, (PipelineAdapter, type)) else adapter_of(adapter)
    call = partial(
        run_adapter_async,
        given,
        _context(message, headers, key, attempt),
        config=config,
        storage=storage,
        directory=directory,
        seconds=seconds,
    )
    # A thread is outside of virtual time: its clock would run ahead, without rest.
    in_thread = is_sync(given if isinstance(given, type) else type(given))
    return trio.run(call) if in_thread else in_virtual_time(lambda _: call(), seed=0)


async def run_adapter_async(
    adapter: PipelineAdapter | AnyAdapter,
    message: Any = None,
    *,
    config: Mapping[str, Any] | None = None,
    headers: Mapping[str, Any] | None = None,
    key: str | None = None,
    attempt: int | None = None,
    storage: StorageProtocol | None = None,
    directory: Path | None = None,
    seconds: float = DEFAULT_SECONDS,
) -> AdapterRun:
    """Do as `run_adapter` does, inside of a trio run, and by its clock.

    Cancellation: passes through the adapter, which is closed.
    """
    context = _context(message, headers, key, attempt)
    clock = trio.lowlevel.current_clock()  # `trio.current_time` cannot be called in a worker thread
    judged = None if is_observed() else Assertions(now=clock.current_time)
    with nullcontext() if judged is None else observed(judged):
        made = _made(adapter, config)
        _bind_storage(made, storage)
        run = await _run(made, context, directory, seconds)
    violations = [] if judged is None else judged.finish(is_complete=False)
    if violations:
        raise AssertionsBrokenError(violations)
    return run


async def _run(
    adapter: PipelineAdapter, context: PipelineContext, directory: Path | None, seconds: float
) -> AdapterRun:
    if not isinstance(adapter, StatefulAdapter):
        return await attempt_of(adapter, context, seconds)
    async with AsyncExitStack() as stack:
        if directory is None:
            temporary = tempfile.TemporaryDirectory(prefix="factflow-")  # noqa: TID251 - of a test
            directory = Path(stack.enter_context(temporary))
        await open_stage(adapter, directory, route=context.route, stage=context.stage)
        stack.push_async_callback(_close, adapter)
        run = await attempt_of(adapter, context, seconds)
        emitted = tuple(await finished(adapter))
    return replace(run, finished=emitted)


async def _close(adapter: StatefulAdapter) -> None:
    with trio.CancelScope(shield=True):
        await adapter.close()


def _made(adapter: PipelineAdapter | AnyAdapter, config: Mapping[str, Any] | None) -> PipelineAdapter:
    if isinstance(adapter, PipelineAdapter):
        if config is not None:
            raise FakeUseError("expected an adapter class with config=..., got an instance, which has one already")
        return adapter
    registry = ValidatingAdapterRegistry.empty()
    registry.register("adapter", adapter if isinstance(adapter, type) else adapter_of(adapter))
    return registry.create("adapter", config)


def _context(message: Any, headers: Mapping[str, Any] | None, key: str | None, attempt: int | None) -> PipelineContext:
    if not isinstance(message, PipelineContext):
        return FakeContext(message, headers=headers, key=key, attempt=1 if attempt is None else attempt)
    if headers is not None or key is not None or attempt is not None:
        raise FakeUseError("expected headers=, key= and attempt= with a message, got a context, which has its own")
    return message


def _bind_storage(adapter: PipelineAdapter, storage: StorageProtocol | None) -> None:
    if not isinstance(adapter, StorageBackendAdapter):
        if storage is not None:
            raise FakeUseError(f"expected a StorageBackendAdapter with storage=..., got {type(adapter).__name__}")
        return
    if storage is None:
        try:
            _ = adapter.storage
        except StorageNotBoundError:
            storage = RecordingStorage()
    if storage is not None:
        adapter.bind_storage(storage)
