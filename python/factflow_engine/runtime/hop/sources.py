"""Sources of the children that a stage emitted, pulled one at a time.

Kept separate from the loop because the three kinds of source (iterable, async iterable, iterable of a synchronous
adapter) differ only here.
"""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Iterable, Iterator
from types import AsyncGeneratorType
from typing import Any, Final, Protocol

import trio

from factflow_engine.error_texts import noted
from factflow_engine.runtime.hop.source_scopes import SourceScopes
from factflow_engine.runtime.stages.breaker_guard import WatchedSource
from factflow_engine.runtime.stages.open_scopes import replaced
from factflow_engine.runtime.stages.stage import Stage
from factflow_engine.runtime.stages.timeouts import DeadlineExceededError, SourceCloseTimeoutError, SourceTimeoutError
from factflow_engine.seams import Clock

EXHAUSTED: Final[Any] = object()
"""Result of `pull` at the end of the source."""

THREAD_BATCH: Final = 64
"""Elements fetched by one visit to a worker thread: a visit costs some 100 microseconds, too much for one element."""


class Source(Protocol):
    """A source of children."""

    __slots__ = ()

    async def pull(self) -> Any:
        """Return the next element, or `EXHAUSTED`; raises what the source raises."""
        ...

    def begin(self) -> Any:
        """Return the iterator or async generator that may be pulled natively from here on; None: only `pull` may be called."""
        return None

    async def finish(self, pulled: Awaitable[Any]) -> Any:
        """Return what a pull gives that was begun natively since `begin`: an element or `EXHAUSTED`; raises as `pull` does."""
        return await pulled

    async def close(self) -> None:
        """Let the source clean up, also when it was not exhausted."""
        ...


class _Listed(Source):
    """A list or tuple: pulling it runs no code of its author."""

    __slots__ = ("_iterator",)

    def __init__(self, elements: Iterable[Any]) -> None:
        self._iterator = iter(elements)

    async def pull(self) -> Any:
        return next(self._iterator, EXHAUSTED)

    def begin(self) -> Any:
        return self._iterator

    async def close(self) -> None:
        pass


class _Scoped(Source, Protocol):
    """A source that is pulled in the task of its worker, and may enter scopes there."""

    __slots__ = ()

    _scopes: SourceScopes
    _status: Any  # where the task was when the last pull began

    async def finish(self, pulled: Awaitable[Any]) -> Any:
        scopes, status = self._scopes, self._status
        task = scopes.task
        try:
            value = await pulled
        except BaseException as error:
            if task._cancel_status is status:
                raise
            raise replaced(error, await scopes.undo(status)) from error
        if task._cancel_status is not status:
            if value is EXHAUSTED:
                raise await scopes.undo(status)
            scopes.step_out(status)
        return value

    def _is_outside(self) -> bool:
        """True if nothing of the source is set aside; a pull begins where the task is now."""
        scopes = self._scopes
        self._status = scopes.task._cancel_status
        return scopes.is_empty


class _Inline(_Scoped):
    """An iterable of an async adapter: pulled on the event loop, where the adapter runs anyway."""

    __slots__ = ("_iterator", "_scopes", "_status")

    def __init__(self, iterable: Iterable[Any], stage: Stage) -> None:
        self._scopes = SourceScopes(stage.info)
        self._iterator = iter(iterable)

    async def pull(self) -> Any:
        if not self._is_outside():
            self._scopes.step_in()
        return await self.finish(self._next())

    def begin(self) -> Any:
        return self._iterator if self._is_outside() else None

    async def close(self) -> None:
        await self._scopes.end(self._scopes.task._cancel_status, self._end)

    async def _next(self) -> Any:
        return next(self._iterator, EXHAUSTED)

    async def _end(self) -> None:
        _close(self._iterator)


class _Async(_Scoped):
    """An async iterable: pulled with an await, which may suspend."""

    __slots__ = ("_iterator", "_scopes", "_stage", "_status")

    def __init__(self, iterable: AsyncIterable[Any], stage: Stage) -> None:
        self._scopes = SourceScopes(stage.info)
        self._iterator: AsyncIterator[Any] = aiter(iterable)
        self._stage = stage

    async def pull(self) -> Any:
        if not self._is_outside():
            self._scopes.step_in()
        return await self.finish(anext(self._iterator, EXHAUSTED))

    def begin(self) -> Any:
        return self._iterator if type(self._iterator) is AsyncGeneratorType and self._is_outside() else None

    async def close(self) -> None:
        with trio.move_on_after(self._stage.close_seconds) as scope:
            await self._scopes.end(self._scopes.task._cancel_status, self._end)
        if scope.cancelled_caught:
            raise SourceCloseTimeoutError(self._stage.info.route, self._stage.info.stage, self._stage.close_seconds)

    async def _end(self) -> None:
        aclose = getattr(self._iterator, "aclose", None)
        if aclose is None:
            return
        try:
            await aclose()
        except BaseExceptionGroup as group:
            _, rest = group.split(GeneratorExit)  # a nursery makes a group of it, which `aclose` does not look through
            if rest is not None:
                raise rest from group


class _Timed(_Async):
    """An async iterable with a timeout for each element; waiting for room does not count."""

    __slots__ = ("_seconds",)

    def __init__(self, iterable: AsyncIterable[Any], stage: Stage, seconds: float) -> None:
        super().__init__(iterable, stage)
        self._seconds = seconds

    async def pull(self) -> Any:
        with trio.move_on_after(self._seconds):
            return await super().pull()
        raise SourceTimeoutError(self._stage.info.route, self._stage.info.stage, self._seconds)

    def begin(self) -> Any:
        return None


class _Threaded(Source):
    """An iterable of a synchronous adapter: pulled in a thread, because it may block (files, directories).

    Its calls of `trio.from_thread` run in the worker's task, and scopes that it enters there are set aside like others.
    """

    __slots__ = ("_batch", "_done", "_error", "_iterator", "_position", "_scopes", "_threads")

    def __init__(self, iterable: Iterable[Any], stage: Stage) -> None:
        self._scopes = SourceScopes(stage.info)
        self._iterator = iter(iterable)
        self._threads = stage.threads
        self._batch: list[Any] = []
        self._position = 0
        self._done = False
        self._error: Exception | None = None

    async def pull(self) -> Any:
        while self._position == len(self._batch):
            if self._error is not None:
                raise self._error
            if self._done:
                return EXHAUSTED
            self._batch, self._position = await self._visit(), 0
        value = self._batch[self._position]
        self._position += 1
        return value

    async def close(self) -> None:
        with trio.CancelScope(shield=True):  # the generator's own clean-up, and threads are never abandoned
            await self._scopes.end(self._scopes.task._cancel_status, self._end)

    async def _end(self) -> None:
        await self._threads.run(lambda: _close(self._iterator))

    async def _visit(self) -> list[Any]:
        scopes = self._scopes
        task = scopes.task
        status = task._cancel_status
        if not scopes.is_empty:
            scopes.step_in()
        try:
            batch = await self._threads.run(self._pull_batch)
        except BaseException as error:
            if task._cancel_status is status:
                raise
            raise replaced(error, await scopes.undo(status)) from error
        if task._cancel_status is not status:
            if self._done:
                self._error = self._left_open(await scopes.undo(status))
            else:
                scopes.step_out(status)
        return batch

    def _left_open(self, failure: Exception) -> Exception:
        """Return the error to raise after the last batch, which has left something open."""
        return failure if self._error is None else noted(self._error, failure)

    def _pull_batch(self) -> list[Any]:
        batch: list[Any] = []
        try:
            for value in self._iterator:
                batch.append(value)
                if len(batch) == THREAD_BATCH:
                    return batch
        except Exception as error:  # noqa: BLE001 - raised by pull(), after the elements that came before it
            self._error = error
        self._done = True
        return batch


class _Watched(Source):
    """A source behind a circuit breaker, whose errors and end are those of the call."""

    __slots__ = ("_clock", "_inner", "_watched")

    def __init__(self, inner: Source, watched: WatchedSource, clock: Clock) -> None:
        self._inner = inner
        self._watched = watched
        self._clock = clock

    async def pull(self) -> Any:
        watched = self._watched
        begun_ns = self._clock.monotonic_ns()
        try:
            value = await self._inner.pull()
        except BaseException as error:
            watched.end(error, self._spend(begun_ns))
            raise
        spent_ns = self._spend(begun_ns)
        if value is EXHAUSTED:
            watched.end(None, spent_ns)
        return value

    async def close(self) -> None:
        try:
            await self._inner.close()
        finally:
            self._watched.drop()  # the result of a source that was not exhausted is unknown

    def _spend(self, begun_ns: int) -> int:
        self._watched.spent_ns += max(self._clock.monotonic_ns() - begun_ns, 0)
        return self._watched.spent_ns


class _ByDeadline(Source):
    """A source with a deadline, counted since its message was published."""

    __slots__ = ("_clock", "_deadline_ns", "_inner", "_seconds")

    def __init__(self, inner: Source, *, published_ns: int, seconds: float, clock: Clock) -> None:
        self._inner = inner
        self._seconds = seconds
        self._deadline_ns = published_ns + round(seconds * 1e9)
        self._clock = clock

    async def pull(self) -> Any:
        left = (self._deadline_ns - self._clock.wall_ns()) / 1e9
        if left > 0:
            with trio.move_on_after(left):
                return await self._inner.pull()
        raise DeadlineExceededError(self._seconds)

    async def close(self) -> None:
        await self._inner.close()


def source_of(emitted: Any, stage: Stage, published_ns: int) -> Source:
    """Choose how to pull what a stage emitted, for a message published at that time.

    Raises:
        TypeError: It is neither iterable nor async iterable.
    """
    source = _source_of(emitted, stage)
    if stage.deadline_seconds is None:
        return source
    return _ByDeadline(source, published_ns=published_ns, seconds=stage.deadline_seconds, clock=stage.clock)


def _source_of(emitted: Any, stage: Stage) -> Source:
    """Choose how to pull it, without regard to time.

    Raises:
        TypeError: It is neither iterable nor async iterable.
    """
    if isinstance(emitted, WatchedSource):
        try:
            return _Watched(_source_of(emitted.source, stage), emitted, stage.clock)
        except BaseException as error:
            emitted.end(error, None)
            raise
    if isinstance(emitted, AsyncIterable):
        return _Async(emitted, stage) if stage.pull_seconds is None else _Timed(emitted, stage, stage.pull_seconds)
    if not isinstance(emitted, Iterable):
        raise TypeError(
            f"AdapterResult(emitted=...) needs an iterable or async iterable of messages, got {type(emitted).__name__}"
        )
    if stage.in_thread and isinstance(emitted, Iterator):
        return _Threaded(emitted, stage)
    return _Listed(emitted) if type(emitted) in {list, tuple} else _Inline(emitted, stage)


def _close(iterator: Iterator[Any]) -> None:
    close = getattr(iterator, "close", None)
    if close is not None:
        close()
