"""Interface for adapter authors: the adapter, the context of one message, and the result.

Kept separate from the engine so that a package of adapters depends on this module alone.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Awaitable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, final

_UNSET: Final[Any] = type("Unset", (), {"__repr__": lambda _: "<unset>", "__slots__": ()})()


@final
class Emit:
    """An element of `AdapterResult.emitted` that says more than its payload: which element it is, or its own headers.

        return AdapterResult(emitted=(Emit(describe(file), key=file.name) for file in files))

    A message that is handled again, after a crash say, emits again. An element is then recognised by the id of its
    message: a queue that keeps ids passes it on once. Without a key the id derives from the element's place among all that
    the message emits, and from its payload: if something comes before it that did not, or nothing any more, it is
    another message, and is handled twice. With a key it derives from the key instead of the place: give one where the
    source has names (files, rows of a table) and may have changed meanwhile.

    The payload's bytes enter in either case: an element of the same key that says something else is another message.
    Elements of equal key and payload are told apart by their number, none is lost.

    Attributes:
        payload: Any message value, None included.
        key: What names the element among those of its message at this stage. It is not the message's own key
            (`PipelineContext.key`), which children inherit from their parent.
        headers: Merged over the headers that the element would have; a value of None removes one. No part of the id.
    """

    __slots__ = ("headers", "key", "payload")

    payload: Any
    key: str | None
    headers: Mapping[str, Any] | None

    def __init__(self, payload: Any, *, key: str | None = None, headers: Mapping[str, Any] | None = None) -> None:
        if key is not None and not isinstance(key, str):
            raise TypeError(f"Emit(key=...) needs a str or None, got {type(key).__name__}; write key=str(...)")
        if headers is not None and not isinstance(headers, Mapping):
            raise TypeError(
                f"Emit(headers=...) needs a mapping or None, got {type(headers).__name__}; write headers={{'name': value}}"
            )
        self.payload = payload
        self.key = key
        self.headers = headers

    def __repr__(self) -> str:
        more = "".join(
            f", {name}={value!r}" for name, value in (("key", self.key), ("headers", self.headers)) if value is not None
        )
        return f"Emit({self.payload!r}{more})"


class AdapterResult:
    """Result of a stage for one message. Give exactly one of `message`, `emitted`, or use `forward()`.

    The engine encodes what is given as soon as `process` returns, so neither may be shared with, or changed by, code
    that runs later. A value that a message cannot carry fails the message at this stage.

    Attributes:
        message: What the next stage, or the outbounds, will see. Any message value, None included.
        emitted: Child messages, as message values or `Emit`. Each goes on through the rest of the chain by itself,
            under the route's limit. An iterator or async iterator is pulled lazily, one element when there is room for
            it, and closed when the message ends or is cancelled; raising from it fails the parent, the children before
            it stand. Its message keeps its permit while the next element is waited for: a route of sources that say
            nothing for long needs more concurrency than it has such sources, or what is to be tried again waits for the
            next element.
            A generator may keep cancel scopes and nurseries open across `yield`: they are around its own work alone. A
            time limit there counts the time of the stages after it too, and interrupts the generator only.
        headers: Merged over the message's headers for what this result carries; a value of None removes a header.
    """

    __slots__ = ("emitted", "headers", "message")

    message: Any
    emitted: Iterable[Any] | AsyncIterable[Any] | None
    headers: Mapping[str, Any] | None

    def __init__(
        self,
        message: Any = _UNSET,
        *,
        emitted: Iterable[Any] | AsyncIterable[Any] | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> None:
        if (message is _UNSET) is (emitted is None):
            raise TypeError(
                "AdapterResult needs exactly one of message= and emitted=; "
                "use AdapterResult.forward() to pass the message on unchanged, or return None to end it here"
            )
        if emitted is not None and isinstance(emitted, (str, bytes, Mapping, Emit)):
            raise TypeError(
                f"AdapterResult(emitted=...) needs a list or iterator of messages, got {type(emitted).__name__}; "
                "write emitted=[value] to emit one message"
            )
        self.message = message
        self.emitted = emitted
        self.headers = headers

    @staticmethod
    def forward() -> "AdapterResult":
        """Pass the message on as it came: its bytes are not decoded, changed or encoded."""
        return _FORWARD

    @property
    def is_forward(self) -> bool:
        """True if this result passes the message on unchanged."""
        return self is _FORWARD

    def __repr__(self) -> str:
        if self is _FORWARD:
            return "AdapterResult.forward()"
        if self.emitted is not None:
            return f"AdapterResult(emitted={self.emitted!r})"
        return f"AdapterResult(message={self.message!r})"


class _Forward(AdapterResult):
    """The one result that everybody shares, and therefore nobody may change."""

    __slots__ = ()

    def __init__(self) -> None:
        for name, value in (("message", _UNSET), ("emitted", None), ("headers", None)):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"AdapterResult.forward() cannot be changed; return AdapterResult(message=context.message, {name}=...)"
        )


_FORWARD: Final[AdapterResult] = _Forward()


class PipelineContext(ABC):
    """One message at one stage. Made by the engine for each call of `process`, and of no use after it.

    Safe to read from the thread that a synchronous `process` runs in.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def message(self) -> Any:
        """The decoded message; decoded on first use and private to this call, so it may be changed freely.

        Changing it does not change what is forwarded: return `AdapterResult(message=...)` for that.
        """

    @property
    @abstractmethod
    def payload(self) -> bytes:
        """The message as msgpack bytes, as it is stored; never decoded by reading this."""

    @property
    @abstractmethod
    def headers(self) -> Mapping[str, Any]:
        """The message's headers, read-only."""

    @property
    @abstractmethod
    def key(self) -> str | None:
        """The key that the publisher gave, if any.

        Routes with `inbound.ordering: key` handle one message of a key at a time, in their order; elsewhere it says
        nothing about order. What a message emits has its key and goes on in parallel: emit in the last stage of a route
        where the order matters, and handle it in the next.
        """

    @property
    @abstractmethod
    def message_id(self) -> str:
        """32 hexadecimal digits, time-ordered. A redelivery has the same id: use it to make effects idempotent."""

    @property
    @abstractmethod
    def correlation_id(self) -> str:
        """Id of the root message that this one descends from."""

    @property
    @abstractmethod
    def parent_id(self) -> str | None:
        """Id of the message that this one was emitted from; None for a root."""

    @property
    @abstractmethod
    def attempt(self) -> int:
        """1 for the first try."""

    @property
    @abstractmethod
    def execution_id(self) -> str:
        """The execution that this message runs in."""

    @property
    @abstractmethod
    def route(self) -> str:
        """Id of the route, as the configuration has it."""

    @property
    @abstractmethod
    def stage(self) -> str:
        """Name of the stage, as the configuration has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageInfo:
    """Where an adapter instance stands: given to `StatefulAdapter.open`.

    Attributes:
        execution_id: The execution that owns the instance.
        route: Id of the route.
        stage: Name of the stage.
        directory: Relative paths in the stage's config are relative to this: the configuration file's folder, or the
            working directory for a configuration given as text.
        resumed: True if this execution goes on with what an earlier process of its id left, or shares its work with
            one that lives: what such a process stored for the stage is to be kept. Always False with queues in memory.
            If it is False, `open` may remove what it finds: of several processes that start an execution together one
            gets False, and the others open their stages when that one's are open, if its stages keep state. It is False,
            too, where an earlier process began the execution and died before this stage had any effect.
        durable: True if the execution's queues outlive the process.
        kept: True if another process of this execution has acknowledged messages whose effects this stage made durable,
            and no `finish` has spoken for them yet: a stage that does not find them again must raise rather than begin
            anew. Implies `resumed`.
    """

    execution_id: str
    route: str
    stage: str
    directory: Path
    resumed: bool = False
    durable: bool = False
    kept: bool = False


class PipelineAdapter(ABC):
    """A domain step: turns one message into a result. Subclass it and write `process`.

    The engine makes one instance a stage and execution: `cls(config)` if `config_model` is set, else `cls()`.
    `process` is called for many messages at a time on that instance (up to the route's limit), so what it keeps on
    `self` must stand that; per-message state belongs in local variables.

    Attributes:
        config_model: A pydantic model class of the stage's `config`, checked when the configuration is loaded; None
            if the adapter takes no configuration.
        summary: One line for `factflow adapters list`; the class docstring's first line if empty.
        runs_in: Where a plain `def process` runs: `"thread"`, or `"process"` for pure Python that computes for a millisecond
            or more. None, the default, means a thread. A stage's `isolation` in the configuration overrides it.
    """

    config_model: ClassVar[type[Any] | None] = None
    summary: ClassVar[str] = ""
    runs_in: ClassVar[Literal["thread", "process"] | None] = None

    @abstractmethod
    def process(self, context: PipelineContext) -> "AdapterResult | Awaitable[AdapterResult | None] | None":
        """Handle one message.

        Declare it `async def` for work that waits, on trio; declare it `def` and the engine calls it in a worker
        thread (and pulls an `emitted` iterator there too), or in a worker process: see `runs_in`. An instance in a worker
        process serves one message at a time, there are several of them, and `emitted` must be a list.

        Args:
            context: The message and where it is. May not be kept after the call.

        Returns:
            The result, or None to end the message here (outcome `filtered`).

        Raises:
            RetryLater: The engine delays the message, no attempt is spent; how often is bounded.
            Reject: The engine does not try again.
            Exception: Anything else fails this attempt of this message and nothing else.

        Context variables (`contextvars`): each message, emitted ones too, begins with those of whoever started the
        execution. What a stage sets is seen by the later stages of the same message in the same route, and by no other
        message; what a thread sets, by nobody else. A value that equals the one it replaces may be seen by the next
        message in its stead: do not tell values apart by identity.

        Cancellation: `trio.Cancelled` may be raised at any await inside. Let it pass: the message is not
            acknowledged and comes back. A thread is never abandoned: cancellation waits for it. A worker process is killed.
        """


class StatefulAdapter(PipelineAdapter):
    """An adapter with state that belongs to one execution: opened before its first message, closed after the last.

    `open` may enter what `close` is to leave, such as a client with a nursery inside, or a nursery of the stage's own:

        async def open(self, stage):
            async with AsyncExitStack() as stack:
                self.client = await stack.enter_async_context(Client(self.config.url))
                self.stack = stack.pop_all()

        async def close(self):
            await self.stack.aclose()

    Both are called in one task that belongs to the stage alone; `process` and `finish` are called in others, and so may
    use what is entered, start tasks in it, but not leave it. Tasks in there live until `close`, also while the execution
    is cancelled. If one of them dies, the stage's route has died: the execution fails.

    **State that must survive the process.** On a durable queue a message is acknowledged for good, so what the adapter
    made of it must be as durable by then. An adapter that keeps something across messages does one of two things:

    - It overrides `snapshot` and `restore`: the engine stores the state together with the acknowledgements that it
      covers, in one transaction. After a crash the next process of the execution goes on with exactly that state.
    - It sets `durable_batches = True` and overrides `flush`: the engine awaits `flush()` before it acknowledges. A crash
      in between brings the messages again, with the same ids: make effects idempotent by `context.message_id`.

    Nothing of either is called with queues in memory, which end with the process.

    Attributes:
        durable_batches: True if `flush` makes the effects of all messages handled so far durable.
        keeps_state: True if the adapter keeps something across messages that a crash must not lose; None, the default,
            lets the engine judge: an adapter that overrides `finish` does. On a durable queue one that keeps state and
            does neither of the above is refused (E306), unless losses are allowed.
        path_fields: Fields of the configuration that are paths relative to `StageInfo.directory`. Processes of one
            execution that name different files are refused, whatever the way in which they are written.
    """

    durable_batches: ClassVar[bool] = False
    path_fields: ClassVar[tuple[str, ...]] = ()
    keeps_state: ClassVar[bool | None] = None

    async def open(self, stage: StageInfo) -> None:
        """Acquire what the stage needs. Called once, before any route of the execution gets a message.

        Raising fails the start of the execution; `close` is then called for the stages that were opened, this one not:
        what it had entered by then it must leave itself.

        Cancellation: may be raised at any await; let it pass, as any other error.
        """

    async def finish(self) -> AdapterResult | None:
        """Say what remains to be said when nothing is left to process: commit a file, emit a summary.

        Called when the execution is idle and about to complete, upstream stages first. What it returns goes through
        the rest of the route as messages do. If messages reach this stage afterwards, it is called again. It is not
        called when the execution is cancelled or failed: whatever was not finished must then be discarded by `close`.

        Raising fails the execution. Cancellation: may be raised at any await; the execution then does not complete.
        """
        return None

    def snapshot(self) -> Any:
        """Return the state as a message value (None, numbers, texts, bytes, lists, maps with text keys).

        Called between messages, without an await, so it must be quick. It must cover each `process` that has returned
        and nothing of one that has not: change the state after the last await of `process`.

        Raising fails the execution.
        """
        raise NotImplementedError

    def restore(self, state: Any) -> None:
        """Merge a state that `snapshot` returned, of this instance's past or of another process, into this one's.

        Called after `open`, once for each state that earlier processes of the execution left; also before `finish`,
        for the states of processes that have ended meanwhile, so that the last one speaks for all.

        Raising fails the start, or the execution.
        """
        raise NotImplementedError

    async def flush(self) -> None:
        """Make the effects of every message that `process` has returned for durable; see `durable_batches`.

        Awaited before a batch of messages is acknowledged on a durable queue, while `process` goes on for others.

        Raising fails the execution; nothing of the batch is acknowledged. Cancellation: likewise nothing.
        """

    async def discard(self) -> None:
        """Delete what was stored for another process to go on with: the execution has completed, and nothing does.

        Awaited on a durable queue, just before `close` and within its time, by the process that spoke for the execution;
        not after a drain, a failure or a cancellation, nor where another process has the last word. A crash may come
        before it, so what is left of an execution that is not gone on with (see `StageInfo.resumed`) may be found by `open`.

        Errors are reported with the execution, and `close` is called all the same.
        """

    async def close(self) -> None:
        """Release what `open` acquired. Always called once after a successful `open`, also on cancellation.

        Shielded from cancellation, for a bounded time (`orchestrator.close_seconds`, by default five); errors are
        reported with the execution. What it does not leave of what `open` entered is cancelled, and reported, too.
        """
