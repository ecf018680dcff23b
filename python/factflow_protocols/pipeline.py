"""Interface for adapter authors: the adapter, the context of one message, and the result.

Kept separate from the engine so that a package of adapters depends on this module alone.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Awaitable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import AsyncGeneratorType, GeneratorType
from typing import Any, ClassVar, Final, Literal, final

_UNSET: Final[Any] = type("Unset", (), {"__repr__": lambda _: "<unset>", "__slots__": ()})()


@final
class Emit:
    """Element of `AdapterResult.emitted` with a key or headers of its own.

        return AdapterResult(emitted=(Emit(describe(file), key=file.name) for file in files))

    A message that is processed again, such as after a crash, emits again. Elements are recognised by the ids of their
    messages: a queue that stores ids accepts each once. Without a key the id derives from the element's place among all
    that the message emits, and from its payload: if elements before it were added or removed, it is another message,
    and is processed twice. With a key it derives from the key instead of the place: give one if the source has names
    (files, rows of a table) and may have changed meanwhile.

    The payload's bytes are part of the id in either case: an element of the same key with another payload is another
    message. Elements of equal key and payload are numbered, so that none is lost.

    Attributes:
        payload: Any message value, None included.
        key: Name of the element among those of its message at this stage. It is not the message's own key
        (`PipelineContext.key`), which children inherit from their parent.
        headers: Headers merged over those of the element; a value of None removes one. Not part of the id.
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


_AMBIGUOUS: Final = frozenset(
    {list, tuple, set, frozenset, range, map, filter, zip, GeneratorType, AsyncGeneratorType},
)
"""Types of values that may be one message, or several."""


def _unclear_result(value: object) -> TypeError:
    if value is _UNSET:
        return TypeError(
            "AdapterResult needs exactly one of message= and emitted=; "
            "use AdapterResult.forward() to pass the message on unchanged, or return None to end it here"
        )
    kind = type(value).__name__
    return TypeError(
        f"AdapterResult({kind}) may mean one message or several: write AdapterResult(emitted=...) to emit each element "
        f"as a message, or AdapterResult(message=...) for one message that is a list"
    )


class AdapterResult:
    """Result of a stage for one message. Give exactly one of `message` and `emitted`, or use `forward()`.

    Example:
        AdapterResult(message={"text": "HELLO"})  # the next stage gets this; message= may be left out
        AdapterResult.forward()  # the next stage gets the message unchanged
        AdapterResult(emitted=({"number": number} for number in range(3)))  # three children
        AdapterResult(message=1, headers={"tenant": "a", "draft": None})  # sets one header, removes another

    The engine encodes the values as soon as `process` returns, so code that runs later may neither share nor change
    them. A value that a message cannot carry fails the message at this stage.

    Raises:
        TypeError: Both or neither are given; or a list or iterator stands without a name, which may be one message or
        several.

    Attributes:
        message: Message for the next stage, or the outbounds. Any message value, None included.
        emitted: Child messages, as message values or `Emit`. Each passes the rest of the stages by itself, under the
        route's limit. An iterator or async iterator is pulled lazily, one element when there is room for it, and closed
        when the message ends or is cancelled; an exception raised from it fails the parent, and its earlier children
        stay. The parent keeps its permit while it waits for the next element: a route with slow sources needs more
        concurrency than it has such sources, or retries wait for the next element.
            A generator may keep cancel scopes and nurseries open across `yield`: they enclose only its own work. A time
            limit there includes the time of the later stages, and interrupts only the generator.
        headers: Headers merged over the message's for everything that this result carries; a value of None removes one.
    """

    __slots__ = ("emitted", "headers", "message")

    message: Any
    emitted: Iterable[Any] | AsyncIterable[Any] | None
    headers: Mapping[str, Any] | None

    def __init__(
        self,
        value: Any = _UNSET,
        /,
        *,
        message: Any = _UNSET,
        emitted: Iterable[Any] | AsyncIterable[Any] | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> None:
        # Tests are in the order in which the most frequent calls need the fewest.
        if emitted is None:
            if message is _UNSET:
                if value is _UNSET or type(value) in _AMBIGUOUS:
                    raise _unclear_result(value)
                message = value
            elif value is not _UNSET:
                raise _unclear_result(_UNSET)
        elif message is not _UNSET or value is not _UNSET:
            raise _unclear_result(_UNSET)
        elif isinstance(emitted, (str, bytes, Mapping, Emit)):
            raise TypeError(
                f"AdapterResult(emitted=...) needs a list or iterator of messages, got {type(emitted).__name__}; "
                "write emitted=[value] to emit one message"
            )
        self.message = message
        self.emitted = emitted
        self.headers = headers

    @staticmethod
    def forward() -> "AdapterResult":
        """Return the result that passes the message on unchanged: its bytes are not decoded or encoded."""
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
    """The result that all callers share, and that is therefore immutable."""

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
    """One message at one stage. Made by the engine for each call of `process`; do not use it after the call.

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
        """The message as msgpack bytes, as stored; reading it decodes nothing."""

    @property
    @abstractmethod
    def headers(self) -> Mapping[str, Any]:
        """The message's headers, read-only."""

    @property
    @abstractmethod
    def key(self) -> str | None:
        """The key that the publisher gave, if any.

        Routes with `inbound.ordering: key` process one message of a key at a time, in order; elsewhere it has no effect
        on order. Messages that a message emits have its key and proceed in parallel: where the order matters, emit in
        the last stage of a route, and process in the next route.
        """

    @property
    @abstractmethod
    def message_id(self) -> str:
        """32 hexadecimal digits, time-ordered. A redelivery has the same id: use it to make effects idempotent."""

    @property
    @abstractmethod
    def correlation_id(self) -> str:
        """Id of the root message of this one."""

    @property
    @abstractmethod
    def parent_id(self) -> str | None:
        """Id of the message that this one was emitted from; None for a root."""

    @property
    @abstractmethod
    def attempt(self) -> int:
        """Number of the attempt, from 1."""

    @property
    @abstractmethod
    def execution_id(self) -> str:
        """Id of the execution that has this message."""

    @property
    @abstractmethod
    def route(self) -> str:
        """Id of the route, as in the configuration."""

    @property
    @abstractmethod
    def stage(self) -> str:
        """Name of the stage, as in the configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageInfo:
    """Execution, route and name of a stage: given to `StatefulAdapter.open`.

    Attributes:
        execution_id: The execution that owns the instance.
        route: Id of the route.
        stage: Name of the stage.
        directory: Folder that relative paths in the stage's config start from: the configuration file's folder, or the
        working directory for a configuration given as text.
        resumed: True if this execution resumes what an earlier process of its id left, or shares its work with a
        running one: keep what such a process stored for the stage. Always False with queues in memory. If it is False,
        `open` may remove leftovers: of several processes that start an execution together one gets False, and the
        others open their stages after it, if its stages keep state. It is False, too, if an earlier process began the
        execution and died before this stage had any effect.
        durable: True if the execution's queues outlive the process.
        kept: True if another process of this execution has acknowledged messages whose effects this stage made durable,
        and no `finish` has covered them yet: a stage that does not find these effects must raise rather than begin
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
    """Adapter: turns one message into a result. Subclass it and write `process`.

    Example:
        class Shout(PipelineAdapter):
            async def process(self, context: PipelineContext) -> AdapterResult | None:
                text = context.message.get("text")
                if text is None:
                    raise Reject("the message has no text")
                return AdapterResult(message={"text": text.upper()})

    The engine makes one instance for each stage and execution: `cls(config)` if `config_model` is set, else `cls()`.
    `process` is called concurrently on that instance, up to the route's limit, so attributes of `self` must tolerate
    that; per-message state belongs in local variables.

    Attributes:
        config_model: A pydantic model class of the stage's `config`, checked when the configuration is loaded; None
            if the adapter takes no configuration.
        summary: One line for `factflow adapters list`; the class docstring's first line if empty.
        runs_in: Place where a plain `def process` runs: `"thread"`, or `"process"` for pure Python that computes for a
        millisecond or more. None, the default, means a thread. A stage's `isolation` in the configuration overrides it.
    """

    config_model: ClassVar[type[Any] | None] = None
    summary: ClassVar[str] = ""
    runs_in: ClassVar[Literal["thread", "process"] | None] = None

    @abstractmethod
    def process(self, context: PipelineContext) -> "AdapterResult | Awaitable[AdapterResult | None] | None":
        """Process one message.

        Declare it `async def` for work that waits, on trio; declare it `def` and the engine calls it in a worker thread
        (and pulls an `emitted` iterator there, too), or in a worker process: see `runs_in`. In worker processes there
        are several instances, each processes one message at a time, and `emitted` must be a list.

        Args:
            context: The message and its place. Do not keep it after the call.

        Returns:
            The result, or None to end the message here (outcome `filtered`).

        Raises:
            RetryLater: The engine delays the message without spending an attempt; the number of deferrals is bounded.
            Reject: The engine does not retry the message.
            Overloaded: The attempt has failed, and a concurrency limit learns that the dependency has too much to do.
            Exception: Any other exception fails this attempt of this message, and nothing else.

        Context variables (`contextvars`): each message, emitted ones too, begins with those of the starter of the
        execution. A value that a stage sets is visible to later stages of the same message in the same route, and to no
        other message; one that a thread sets, only to that call. A value that equals the one it replaces may be visible
        to the next message in its place: do not distinguish values by identity.

        Cancellation: `trio.Cancelled` may be raised at any await inside. Let it propagate: the message is not
        acknowledged and is delivered again. A thread is never abandoned: cancellation waits for it. A worker process is
        killed.
        """


class StatefulAdapter(PipelineAdapter):
    """Adapter with state that belongs to one execution: opened before its first message, closed after the last.

    `open` may enter contexts that `close` leaves, such as a client with a nursery inside, or a nursery of the stage's
    own:

        async def open(self, stage):
            async with AsyncExitStack() as stack:
                self.client = await stack.enter_async_context(Client(self.config.url))
                self.stack = stack.pop_all()

        async def close(self):
            await self.stack.aclose()

    Both are called in one task that belongs to the stage alone; `process` and `finish` are called in others, and so may
    use these contexts and start tasks in them, but not leave them. Tasks in them live until `close`, also while the
    execution is cancelled. If one of them dies, the stage's route has died: the execution fails.

    **State that must survive the process.** On a durable queue a message is acknowledged for good, so its effects must
    be as durable by then. An adapter that keeps something across messages does one of two things:

    - It overrides `snapshot` and `restore`: the engine stores the state together with the acknowledgements that it
      covers, in one transaction. After a crash the next process of the execution resumes with exactly that state.
    - It sets `durable_batches = True` and overrides `flush`: the engine awaits `flush()` before it acknowledges. After
      a crash in between, the messages are delivered again, with the same ids: make effects idempotent by
      `context.message_id`.

    Neither is called with queues in memory, which end with the process.

    Attributes:
        durable_batches: True if `flush` makes the effects of all messages so far durable.
        keeps_state: True if the adapter keeps something across messages that a crash must not lose; None, the default,
        lets the engine decide: an adapter that overrides `finish` does. On a durable queue an adapter that keeps state
        and does neither of the above is refused (E306), unless losses are allowed.
        path_fields: Fields of the configuration that are paths relative to `StageInfo.directory`. Processes of one
        execution that name different files are refused, however the paths are written.
    """

    durable_batches: ClassVar[bool] = False
    path_fields: ClassVar[tuple[str, ...]] = ()
    keeps_state: ClassVar[bool | None] = None

    async def open(self, stage: StageInfo) -> None:
        """Acquire what the stage needs. Called once, before any route of the execution gets a message.

        Raising fails the start of the execution; `close` is then called for the stages that were opened, but not for
        this one, which must leave the contexts that it has entered itself.

        Cancellation: may be raised at any await; let it propagate, as any other error.
        """

    async def finish(self) -> AdapterResult | None:
        """Finish when no message is left to process: commit a file, emit a summary.

        Called when the execution is idle and about to complete, upstream stages first. Its result passes the rest of
        the route as a message does. If messages reach this stage afterwards, it is called again. It is not called when
        the execution is cancelled or has failed: `close` must then discard whatever was not finished.

        Raising fails the execution. Cancellation: may be raised at any await; the execution then does not complete.
        """
        return None

    def snapshot(self) -> Any:
        """Return the state as a message value (None, numbers, texts, bytes, lists, maps with text keys).

        Called between messages, without an await, so it must be fast. It must cover each `process` that has returned
        and no other: change the state after the last await of `process`.

        Raising fails the execution.
        """
        raise NotImplementedError

    def restore(self, state: Any) -> None:
        """Merge a state returned by `snapshot`, of this instance's past or of another process, into the present state.

        Called after `open`, once for each state that earlier processes of the execution left; also before `finish`, for
        the states of processes that have ended meanwhile, so that the last one finishes for all.

        Raising fails the start, or the execution.
        """
        raise NotImplementedError

    async def flush(self) -> None:
        """Make the effects of every message for which `process` has returned durable; see `durable_batches`.

        Awaited before a batch of messages is acknowledged on a durable queue, while `process` runs for others.

        Raising fails the execution; nothing of the batch is acknowledged. Cancellation: the same.
        """

    async def discard(self) -> None:
        """Delete what was stored for resuming: the execution has completed, and nothing resumes it.

        Awaited on a durable queue, just before `close` and within its time, by the process that finished for the
        execution; not after a drain, a failure or a cancellation, nor if another process finishes. A crash may prevent
        it, so `open` may find the leftovers of an execution that is not resumed (see `StageInfo.resumed`).

        Errors are reported with the execution, and `close` is called all the same.
        """

    async def close(self) -> None:
        """Release what `open` acquired. Always called once after a successful `open`, also on cancellation.

        Shielded from cancellation, for a bounded time (`orchestrator.close_seconds`, by default five); errors are
        reported with the execution. Contexts that `open` entered and `close` does not leave are cancelled, and
        reported, too.
        """
