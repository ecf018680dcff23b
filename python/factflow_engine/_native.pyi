"""Rust half of factflow-engine. Import it through `factflow_engine.native`."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Sized
from contextvars import Context
from types import FrameType, GenericAlias
from typing import Any, Final, Generic, Self, TypeVar, final

from typing_extensions import disjoint_base

__all__ = [
    "BUILT_IN_OPERATORS",
    "CONDITION_CODES",
    "STEP_AWAITABLE",
    "STEP_ENDED",
    "STEP_LEFT_OPEN",
    "STEP_RETURNED",
    "STEP_STRANDED",
    "STEP_SUSPENDED",
    "Batch",
    "Breaker",
    "BreakerPermit",
    "BreakerSettings",
    "Carrier",
    "Channel",
    "Condition",
    "Counters",
    "FieldPath",
    "Frame",
    "FrameDecoder",
    "Journal",
    "MessageContext",
    "PatternBudget",
    "Publisher",
    "RouteTable",
    "RouteTableStatistics",
    "Siblings",
    "Suspension",
    "TimeOrderedIds",
    "Worker",
    "WorkerPool",
    "compile_condition",
    "label_of",
    "pack",
    "panic_on_purpose",
    "unpack",
    "validate",
]

# Values and their bytes

def pack(value: object, /) -> bytes:
    """Encode a message value as msgpack.

    Carried are None, bool, int of 64 bits (signed or unsigned), float, str, bytes (also bytearray and memoryview),
    list and tuple, dict with str keys, `Timestamp`, `Ext`, and aware `datetime`, which becomes a `Timestamp`.
    Subclasses of these are carried by value: a `StrEnum` member is its text, a named tuple a list.

    Raises:
        CodecError: The value holds something else, is nested deeper than 128 containers (as one that contains itself
            is), or has more than a million elements. The text begins with the path: `message.items[3].when: ...`.
    """

def unpack(data: bytes, /) -> object:
    """Decode msgpack that may come from anywhere.

    Everything is checked: lengths, UTF-8, unique str keys, timestamps, 128 levels, a million elements, nothing behind
    the value. Time and memory are linear in the bytes that came, whatever lengths they declare.

    Raises:
        TruncatedError: The bytes end too early.
        CorruptError: They can never become valid. Both carry the `offset`.
    """

def validate(data: bytes, /) -> None:
    """Check all that `unpack` checks, and build nothing; several times faster.

    Raises:
        TruncatedError: The bytes end too early.
        CorruptError: They can never become valid. Both carry the `offset`.
    """

def panic_on_purpose(said: str, /) -> None:
    """Panic in Rust, as no other function does; for the test of what that becomes.

    Raises:
        NativePanicError: Always.
    """

def label_of(text: str, /) -> int:
    """A stable 64-bit name of a text, for `Frame.child`: the same in every process, version and machine."""

# Frames

@final
class Frame:
    """One message as it moves between queues: ids, attempt, time, key, headers and payload. Never changes.

    Equal are frames that encode to the same bytes. Frames are not pickled: `encode` is their wire form.
    """

    @staticmethod
    def create(
        payload: bytes,
        *,
        message_id: bytes,
        correlation_id: bytes | None = None,
        parent_id: bytes | None = None,
        attempt: int = 1,
        time_ns: int = 0,
        key: str | None = None,
        headers: Mapping[str, object] | None = None,
    ) -> Frame:
        """Make a frame around a payload that is trusted to be one msgpack value: `pack` made it, or `validate` saw it.

        Args:
            payload: Kept by reference; at most 62 MiB.
            message_id: 16 bytes, time-ordered.
            correlation_id: 16 bytes; the message's own id if None.
            parent_id: 16 bytes; None for a root.
            attempt: From 1.
            time_ns: Nanoseconds since the Unix epoch, 64 bits.
            key: What it belongs to, for routes with `inbound.ordering: key`; at most 64 KiB.
            headers: Any message values under str keys, 512 KiB at most; encoded at once.

        Raises:
            CodecError: An id is not of 16 bytes, the attempt is below 1, a header cannot be carried, or something is too
                long: what can be made can also be read, wherever it was stored.
        """

    @staticmethod
    def decode(data: bytes, *, max_bytes: int = 67108864) -> Frame:
        """Read one frame that may come from anywhere; header and payload are checked as `unpack` checks.

        Args:
            data: Exactly one frame.
            max_bytes: Longest frame accepted; looked at before anything is done with the length that it declares.

        Raises:
            TruncatedError: The bytes end within the frame.
            CorruptError: They are no frame, were changed on the way, or are too long.
        """

    def encode(self) -> bytes:
        """The wire form: what memory, files and brokers carry."""

    def child(
        self,
        label: int,
        ordinal: int,
        *,
        payload: bytes | None = None,
        headers: Mapping[str, object] | None = None,
        time_ns: int | None = None,
    ) -> Frame:
        """A message emitted from this one; the same label, ordinal and payload make the same id, however often it is done.

        Its id keeps the first six bytes (the time) of this one's, its parent is this message, its correlation id and
        key are this one's, and its attempt is 1.

        Args:
            label: Where it is emitted: 64 bits, unsigned; see `label_of`.
            ordinal: Its number among what this message emits there, from 0.
            payload: Trusted msgpack; None for this message's own, by reference: the id is that of the same bytes.
            headers: All headers of the child; None for this message's own.
            time_ns: None for this message's own.

        Raises:
            CodecError: A header cannot be carried.
        """

    def restamp(
        self,
        *,
        attempt: int | None = None,
        headers: Mapping[str, object] | None = None,
        time_ns: int | None = None,
    ) -> Frame:
        """The same message with other stamps: ids, key and payload stay.

        Args:
            attempt: From 1; None keeps it.
            headers: All headers of the new frame; None keeps them.
            time_ns: None keeps it.

        Raises:
            CodecError: The attempt is below 1, or a header cannot be carried.
        """

    def value(self) -> object:
        """Decode the payload. A fresh object each call, the caller's own."""

    @property
    def message_id(self) -> bytes:
        """16 bytes, time-ordered."""

    @property
    def correlation_id(self) -> bytes:
        """16 bytes: the root that this message descends from."""

    @property
    def parent_id(self) -> bytes | None:
        """16 bytes: the message that this one was emitted from; None for a root."""

    @property
    def attempt(self) -> int:
        """1 for the first try."""

    @property
    def time_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""

    @property
    def key(self) -> str | None:
        """Key of the dependency; None if there is none."""

    @property
    def headers(self) -> Mapping[str, object]:
        """Read-only, decoded anew each time: keep it if it is read twice."""

    @property
    def payload(self) -> bytes:
        """The message's msgpack bytes: the same object each time."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class FrameDecoder:
    """Frames out of a stream that comes in pieces of any size: feed, then iterate until it is exhausted, again.

    Memory is what was fed and not yet taken; nothing is reserved by a length that a frame declares.
    """

    def __new__(cls, *, max_frame_bytes: int = 67108864) -> FrameDecoder: ...
    def feed(self, data: bytes, /) -> None:
        """Add bytes. Once the stream was found corrupt they are dropped: `next` says what happened."""

    def next(self) -> Frame | None:
        """The next frame, or None until more is fed.

        Raises:
            CorruptError: The stream is no sequence of frames from here on; raised again by every further call. Its
                `offset` counts from the beginning of the stream.
        """

    def finish(self) -> None:
        """Say that the stream has ended.

        Raises:
            TruncatedError: Part of a frame remains.
            CorruptError: The stream was, or its rest is, corrupt.
        """

    @property
    def pending_bytes(self) -> int:
        """Bytes that were fed and do not belong to a frame that was taken."""

    def __iter__(self) -> Iterator[Frame]: ...
    def __next__(self) -> Frame: ...

BUILT_IN_OPERATORS: Final[tuple[str, ...]]
CONDITION_CODES: Final[tuple[str, ...]]

@final
class FieldPath:
    """Where one field of a message is, written as conditions write it; it names exactly one.

    Args:
        text: `a.b`, `a[0].b`, `a."x.y"`, `/a/0/b`, or `@` for the whole message.

    Raises:
        ValueError: The text is no path, or names several fields (`[*]`).
    """

    def __new__(cls, text: str, /) -> FieldPath: ...
    def value(self, payload: bytes, /) -> object:
        """The field's value in a message given as its msgpack bytes; None if it has no such field, or it is nil.

        Raises:
            CodecError: The payload is malformed where it was looked at.
        """

@final
class Condition:
    """A compiled condition. It never changes and may be used from any thread.

    Made by `factflow_engine.conditions.compile_condition`.
    """

    @property
    def source(self) -> dict[str, object]:
        """Copy of the source, made when the condition was compiled. Changes to it are not read."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The top-level fields of a message that it reads, in the order in which it is written.

        A path that begins with an index, or is `@`, reads the message as a whole and is not among them.
        """

    def matches(self, payload: bytes, /) -> bool:
        """True if it holds for a message.

        Takes time linear in the message at most, and decodes nothing but fields that a user's operator asks for.

        Args:
            payload: The message's msgpack bytes, validated where they came in.

        Raises:
            CodecError: The bytes are malformed where the condition looks; elsewhere that is not noticed.
            ConditionOperatorError: A user's operator raised, or did not answer.
        """

    def matches_value(self, value: object, /) -> bool:
        """True if it holds for a message given as a value, which is packed first.

        Raises:
            CodecError: No message can carry the value.
            ConditionOperatorError: A user's operator raised, or did not answer.
        """

@final
class PatternBudget:
    """Memory that the patterns of several conditions may take together.

    Args:
        size: Bytes; by default the 64 MiB that a condition by itself may take.
    """

    def __new__(cls, size: int = ...) -> PatternBudget: ...
    @property
    def left(self) -> int:
        """Bytes that further patterns may take. What was refused for its size counts too: it took time."""

def compile_condition(
    source: object,
    operators: object,
    snapshot: Callable[[Any], Any],
    budget: PatternBudget | None = None,
    /,
) -> Condition:
    """Compile a condition. `factflow_engine.conditions.compile_condition` is what to call.

    Args:
        source: The condition as its author wrote it.
        operators: An `OperatorRegistry`, or None.
        snapshot: Makes the copy that the condition keeps as its `source`.
        budget: What the patterns take their memory from; None: 64 MiB for this condition.

    Raises:
        ConditionErrors: The condition cannot be right.
    """

# Tables of conditions

_Id = TypeVar("_Id")

@final
class RouteTable(Generic[_Id]):
    """Many conditions, asked together: which of them hold for a message.

    Each rule is filed under the part of it that the fewest rules share, so that matching takes about the same time
    for ten rules as for ten thousand, as long as few of them hold. Rules that have nothing to be filed under, because
    all their parts are negative, are asked for every message: `statistics()` counts them.

    It never changes and may be used from any thread. To change the rules, build another table.

    Args:
        rules: Pairs of an id, which may be anything, and a condition as `compile_condition` takes it.
        operators: An `OperatorRegistry` with operators besides the built-in ones, or None.
        budget: What the patterns take their memory from; None: 64 MiB for this table.

    Raises:
        ConditionErrors: Some rules cannot be right; it holds every problem of all of them. A finding's path begins
            with the place of its rule.
        TypeError: A rule is not a pair.
    """

    def __new__(
        cls,
        rules: Iterable[tuple[_Id, Mapping[str, object]]],
        operators: object = None,
        budget: PatternBudget | None = None,
    ) -> RouteTable[_Id]: ...
    def __class_getitem__(cls, key: Any) -> GenericAlias: ...
    def match(self, payload: bytes, /) -> list[_Id]:
        """Ids of all rules that hold for a message, in the table's order.

        Args:
            payload: The message's msgpack bytes, validated where they came in.

        Raises:
            CodecError: The bytes are malformed where a rule looks; elsewhere that is not noticed.
            ConditionOperatorError: A user's operator raised, or did not answer.
        """

    def match_first(self, payload: bytes, /) -> _Id | None:
        """Id of the first rule, in the table's order, that holds for a message; None if none does.

        Raises:
            CodecError: As `match`.
            ConditionOperatorError: As `match`.
        """

    def match_indices(self, payload: bytes, /) -> tuple[int, ...]:
        """Places in the table of all rules that hold for a message, in order.

        Raises:
            CodecError: As `match`.
            ConditionOperatorError: As `match`.
        """

    def statistics(self) -> RouteTableStatistics:
        """Return the composition of the table."""

    def __len__(self) -> int: ...

@final
class RouteTableStatistics:
    """Composition of a table."""

    @property
    def rules(self) -> int:
        """Rules in all: `indexed_rules`, `always_asked_rules` and `impossible_rules` together."""

    @property
    def indexed_rules(self) -> int:
        """Rules that are only asked when the index names them."""

    @property
    def always_asked_rules(self) -> int:
        """Rules that every message is asked about: the part of the time that grows with the table."""

    @property
    def impossible_rules(self) -> int:
        """Rules that hold for no message, as `in` of an empty list."""

    @property
    def indexed_fields(self) -> int:
        """Fields that have an index."""

    @property
    def automata(self) -> int:
        """Fields whose texts are searched for all texts of `contains` and `matches` at once."""

# Circuit breakers

@final
class BreakerSettings:
    """Checked parameters of a circuit breaker; durations are nanoseconds.

    `factflow_engine.resilience.CircuitBreakerSettings` is what to make, and says what each means.
    """

    def __new__(
        cls,
        *,
        failure_rate_threshold: float,
        slow_call_rate_threshold: float,
        slow_call_duration_ns: int,
        sliding_window_type: str,
        sliding_window_size: int,
        minimum_calls: int,
        wait_ns: int,
        wait_multiplier: float,
        max_wait_ns: int,
        wait_jitter: float,
        automatic_half_open: bool,
        trial_calls: int,
        max_half_open_ns: int | None,
        after_half_open: str,
        lease_ns: int,
        retry_after: str,
        max_retry_after_ns: int,
    ) -> BreakerSettings:
        """Check every bound.

        Raises:
            ValueError: One is not kept; the text begins with the parameter's name.
        """

@disjoint_base
class Breaker:
    """The state machine of a circuit breaker, behind a lock; all times are arguments, in nanoseconds.

    `factflow_engine.resilience.CircuitBreaker` is the class to make: a subclass that defines `_classify` and
    `_deliver`, which are called here.
    """

    def __new__(cls, settings: BreakerSettings, seed: int, report_calls: bool, /) -> Self: ...
    def try_acquire(self, now_ns: int) -> BreakerPermit | None:
        """Ask for a call; None if it is refused. An open breaker whose wait is over gives its first trial call.

        Args:
            now_ns: Now. An earlier time than one it was told before counts as that one, here and everywhere.
        """

    def advance(self, now_ns: int) -> None:
        """Do what is due without a call, as a timer would.

        That is the end of trial calls' leases, of a half open that lasted too long, and of the wait in open if the
        settings make it automatic. `try_acquire` and `record` do this first.
        """

    def reset(self, now_ns: int) -> None:
        """Make it closed and as new, wherever it is; only the lifetime counters stay."""

    def move_to(self, state: str, now_ns: int) -> bool:
        """Move it by hand; False if that move is not allowed, and then nothing changed.

        Raises:
            ValueError: There is no state of this name.
        """

    def move_to_open_for(self, wait_ns: int, now_ns: int) -> bool:
        """Open it by hand for that long; False if that move is not allowed, and then nothing changed."""

    @property
    def state(self) -> str:
        """Name of its state, by what it was last told."""

    @property
    def next_deadline_ns(self) -> int | None:
        """When `advance`, or a new call, may next find something to do; None if time alone changes nothing."""

    def retry_after_ns(self, now_ns: int) -> int | None:
        """Return the nanoseconds until a call may be permitted; 0 if one may be now, None if only an operator can say."""

    def stats_at(self, now_ns: int | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the present state and the counts over life, as keywords of `CircuitStats` and `CircuitTotals`.

        Args:
            now_ns: Now, or None for the latest time it was told. Changes nothing.
        """

@final
class BreakerPermit:
    """The right to make one call, to be given back once: recorded or released.

    One that is dropped is released, whoever dropped it. Made by `Breaker.try_acquire`.
    """

    def record(self, now_ns: int, duration_ns: int, error: BaseException | None = None) -> bool:
        """Give it back with what came of the call; whether that counts in the breaker's rates.

        It does not if the breaker has changed state since the permit was given, if the trial call's lease is over, or
        if the error is one that counts as nothing (`CircuitBreaker` says which).

        Args:
            now_ns: Now.
            duration_ns: How long the call took.
            error: What it raised; None is a success. How long it asks to stay away, if it does, is heard.

        Raises:
            RuntimeError: It was given back before.
        """

    def record_failure(self, now_ns: int, duration_ns: int, retry_after_ns: int | None = None) -> bool:
        """Give it back with a result that counts as a failure though nothing was raised.

        Args:
            now_ns: Now.
            duration_ns: How long the call took.
            retry_after_ns: For how long the result asks to stay away.

        Raises:
            RuntimeError: It was given back before.
        """

    def release(self) -> None:
        """Give it back without a result, as if the call had not been; nothing if it was given back before."""

    @property
    def is_settled(self) -> bool:
        """True if it was given back."""

    @property
    def acquired_ns(self) -> int:
        """When it was given, by the caller's time."""

# What the loop pays per message

STEP_ENDED: Final[int]
STEP_SUSPENDED: Final[int]
STEP_AWAITABLE: Final[int]
STEP_RETURNED: Final[int]
STEP_STRANDED: Final[int]
STEP_LEFT_OPEN: Final[int]

@disjoint_base
class Channel:
    """A first-in-first-out line of frames with a soft bound; base of the memory queue's channels.

    After `order_by_key` it hands out one frame of a key at a time: the others wait, parked behind it, until `end` is
    told of it or it is given back. What is taken is always the frame that came first of those that can be taken.

    Attributes:
        owner: Whose it is.
        capacity: How many waiting frames make it full.
        armed: True if `tell` is called after a frame was added.
        awaited: True if `tell_of_room` is called after a frame was taken.
        is_read: True if somebody reads it.
        shared: True if several do.
    """

    def __new__(cls, owner: str, capacity: int) -> Self: ...
    @property
    def owner(self) -> str: ...
    capacity: int
    armed: bool
    awaited: bool
    is_read: bool
    shared: bool
    @property
    def waiting(self) -> int:
        """Number of frames in the channel."""

    @property
    def ready(self) -> int:
        """Number of frames that can be taken now; all of them, unless the channel is ordered by key."""

    @property
    def ordered(self) -> bool:
        """True if it hands out one frame of a key at a time."""

    def order_by_key(self) -> None:
        """Hand out one frame of a key at a time from now on; what was taken before is not known."""

    def end(self, frame: Frame, /) -> None:
        """Note that a frame that was taken has ended, and tell the consumers if another one can be taken for it.

        Does nothing for a frame without a key, or that is not the one of its key that was taken.
        """

    @property
    def is_full(self) -> bool:
        """True if publishers must wait."""

    def append(self, frame: Frame, /) -> None:
        """Add a frame, whatever the capacity says, and tell the consumers if it can be taken."""

    def put_first(self, frame: Frame, /) -> None:
        """Make a frame that was taken the next to be taken, and tell nobody."""

    def take(self) -> Frame | None:
        """Hand out the oldest frame that can be taken, if there is one."""

    def frames(self) -> list[Frame]:
        """All frames, oldest first; they stay."""

    def clear(self) -> None:
        """Forget all frames."""

    def tell(self) -> None:
        """Tell the consumers; here nothing."""

    def tell_of_room(self) -> None:
        """Tell those who wait for room; here nothing."""

@final
class Batch:
    """Root messages with consecutive ids, made together."""

    def __new__(cls, payloads: Sequence[Any], /, *, first_id: bytes, time_ns: int) -> Self:
        """Encode all payloads.

        Raises:
            CodecError: One of them is nothing that a message can carry.
        """

    @property
    def left(self) -> int:
        """Number of frames that have not been moved."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all of them, 32 hexadecimal digits each."""

    def pour(self, channels: list[Channel] | list[Any], limit: int, /) -> None:
        """Move the next messages, `limit` at most, to each of these channels, and tell their consumers once."""

@final
class Publisher:
    """Appends root messages to the channels of routes, while there is nothing to wait for and nothing to refuse."""

    def __new__(
        cls, channels: dict[str, list[Channel]] | dict[str, Any], *, wall_ns: Callable[[], int], ids: Any
    ) -> Self:
        """Prepare.

        Args:
            channels: By route id, the list of the channels that its messages go to; whoever owns a list may change it.
            wall_ns: Returns the wall time in nanoseconds.
            ids: Source of ids, see `factflow_engine.seams.Ids`.
        """

    @property
    def is_open(self) -> bool:
        """True until `close` is called."""

    def close(self) -> None:
        """Take nothing more."""

    def offer(self, route: str, payload: object, headers: Mapping[str, Any] | None, key: str | None, /) -> str | None:
        """Append a message to every channel of a route and return its id, 32 hexadecimal digits.

        Return None, and do nothing, if there is no such route, if one of its channels that is read is full, if the key is
        no string, or after `close`.

        Raises:
            CodecError: The payload, the headers or the key is nothing that a message can carry.
        """

@final
class TimeOrderedIds:
    """UUIDv7-like ids: 48 bits of milliseconds, then randomness from which a counter goes up within a millisecond.

    80 random bits are drawn once a millisecond; further ids of the same millisecond add one, so that ids of one source are
    strictly ordered and cost no system call.
    """

    def __new__(cls, randomness: Any) -> Self:
        """Return a source that draws from this, see `factflow_engine.seams.Randomness`."""

    def new(self, wall_ns: int) -> bytes:
        """Return 16 bytes that begin with the time in milliseconds."""

    def reserve(self, wall_ns: int, count: int) -> bytes:
        """Return the first of so many ids that follow each other, as numbers."""

@final
class MessageContext:
    """One message at one stage: the engine's `PipelineContext`, and the state of a message on its way."""

    @property
    def message(self) -> Any: ...
    @property
    def payload(self) -> bytes: ...
    @property
    def headers(self) -> Mapping[str, Any]: ...
    @property
    def key(self) -> str | None: ...
    @property
    def message_id(self) -> str: ...
    @property
    def correlation_id(self) -> str: ...
    @property
    def parent_id(self) -> str | None: ...
    @property
    def attempt(self) -> int: ...
    @property
    def execution_id(self) -> str: ...
    @property
    def route(self) -> str: ...
    @property
    def stage(self) -> str: ...
    @property
    def stage_of(self) -> Any:
        """The stage's object; None past the last stage."""

    @property
    def index(self) -> int:
        """The stage's place in the route."""

    @property
    def begun_ns(self) -> int:
        """When this attempt at the route began, in the loop's time."""

    @property
    def frame(self) -> Frame:
        """The message as it came."""

    def with_headers(self, headers: Mapping[str, Any], /) -> MessageContext:
        """The same message with other headers.

        Raises:
            CodecError: No message can carry them.
        """

    def merged(self, changes: Mapping[str, Any], /) -> dict[str, Any]:
        """The headers with these merged over them; a value of None removes one."""

@final
class Siblings:
    """Makes the children that one message emits at one stage, one after another.

    A child's id derives from the parent's id, the stage and the child's payload, and from its ordinal; or, if it has a
    key, from that and from its number among those of this key and payload. Of keys 8 bytes each are remembered (16 in
    the table), for the first 1,048,576; the ids of further keyed children derive from their ordinals too.

    Args:
        parent: The message.
        label: The stage's; see `label_of`.
    """

    def __new__(cls, parent: MessageContext, label: int, /) -> Self: ...
    def next(self, given: object, /) -> Frame:
        """Make the next child, of a message value or of an `Emit`.

        Raises:
            CodecError: No message can carry the value or its headers; or its key is not text that can be encoded.
        """

@final
class Counters:
    """Messages of one route: how many have begun, and how they ended."""

    def __new__(cls) -> Self: ...
    received: int
    emitted: int
    skipped: int
    completed: int
    filtered: int
    dead_lettered: int
    failed: int
    retrying: int
    @property
    def in_flight(self) -> int:
        """Messages begun, not ended and not waiting to be tried again; derived, so that the counters always balance."""

@final
class Worker:
    """State of one worker of the loop.

    Attributes:
        route: The route that it serves.
        context: The message that it carries, at the stage that has it; None if it carries none.
        pending: What it waits for: a coroutine that has been started, or another awaitable that has not.
        value: What the coroutine waits for, or what an adapter returned.
        since_ns: When its message began, in the loop's time.
        until_ns: When it should let others of the program have their turn.
        left: How many messages its route may still give it in this turn.
        turns: How many it may still take before it yields even if the clock stands still.
        is_astray: True if its task has entered a cancel scope or a nursery, or left one, since `stand`.
    """

    def __new__(cls, *, quantum_ns: int, quantum_turns: int) -> Self: ...
    def stand(self, tasks: set[Any], nurseries: list[Any], /) -> None:
        """Note where the worker's task is in trio's tree of cancel scopes while no adapter runs.

        Args:
            tasks: Those whose innermost scope is the worker's own, as trio keeps them: its task alone.
            nurseries: Those that its task has open, as trio keeps them: none.
        """

    @property
    def is_astray(self) -> bool: ...
    def begin_in(self, now: Context, first: Context, /) -> None:
        """Note the context of the worker's task, a copy of the second one in that nothing was set so far."""

    @property
    def has_set(self) -> bool:
        """True if a context variable of the task was set since `begin_in`; if nothing was, in ten nanoseconds.

        By equality of the values, and by identity of those that cannot be compared.
        """

    def enter(self, now_ns: int, /) -> None:
        """Begin another quantum: trio has given everybody else a turn."""

    route: Any
    context: MessageContext | None
    pending: Any
    value: Any
    since_ns: int
    until_ns: int
    left: int
    turns: int

@final
class Journal:
    """Ids of messages that have ended, in that order, for whoever acknowledges them where they came from.

    Args:
        tell: Called without arguments when the first one after a `take` was noted.
    """

    def __new__(cls, tell: Callable[[], object], /) -> Self: ...
    def note(self, frame: Frame, /) -> None:
        """Note that a message has ended."""

    def take(self) -> list[bytes]:
        """The ids noted since the last time."""

    def __len__(self) -> int: ...

@final
class WorkerPool:
    """The worker of a loop that runs, and those that can go on while it waits.

    Args:
        ready: The routes with work.
        parked: Who waits for work.
        workers: All workers.
        most: How many workers there may be.
        wake: Has another worker look at the ready list.

    Attributes:
        active: The worker that runs now, and will look at the ready list before it stops.
    """

    def __new__(
        cls, *, ready: Sized, parked: list[Any], workers: list[Worker], most: int, wake: Callable[[], None]
    ) -> Self: ...
    active: Worker | None
    def leave(self) -> None:
        """Note that the running worker may have to wait; wake another one if there is something to do."""

@final
class Suspension:
    """Waiting, in an adapter's stead, for what its coroutine waits for; awaited once for a whole turn.

    Returns the first step of the carrier's that is no suspension; raises what the adapter raises.
    """

    def __await__(self) -> Generator[Any, Any, int]: ...
    def __next__(self) -> Any: ...
    def send(self, value: Any, /) -> Any: ...
    def throw(self, *error: Any) -> Any: ...
    def close(self) -> None: ...
    @property
    def cr_frame(self) -> FrameType | None: ...
    @property
    def cr_await(self) -> Any: ...

@final
class Carrier:
    """Carries the messages of one route as far as nobody has to wait and nothing unusual was returned.

    `carry`, `begin`, `answer`, `proceed` and `change` return the step at which Python must take over: `STEP_ENDED`
    (the message has ended and is counted; for `carry`, the turn is over), `STEP_SUSPENDED` (the adapter's coroutine
    `worker.pending` waits for `worker.value`), `STEP_AWAITABLE` (the adapter gave `worker.pending`, no coroutine),
    `STEP_RETURNED` (it returned `worker.value`, not to be judged here), `STEP_STRANDED` (no outbound can take the
    message), `STEP_LEFT_OPEN` (it returned while `worker.is_astray`). They raise what the adapter, a condition or the encoding of its result raised. Unless the message has
    ended, `worker.context` is its state.
    """

    def __new__(
        cls,
        *,
        counters: Counters,
        inbound: Channel,
        stages: Sequence[Any],
        outbounds: tuple[Any, ...],
        table: RouteTable[Any] | None,
        first_only: bool,
        unrouted_fails: bool,
        pauses: set[str],
        drivers: Sized,
        children: Sized,
        limit: int,
        now: Callable[[], int],
        forward: Any,
        journal: Journal | None = None,
    ) -> Self: ...
    limit: int
    busy: int
    pulling: int
    intake_closed: bool
    circuit_open: bool
    def carry(self, worker: Worker, waited: bool, /) -> int:
        """Take messages from the inbound queue until `worker.left` is 0, nothing waits, or a pause or the clock says stop.

        `waited`: since there was room for all of them, so look again before each.
        """

    def waited(self, worker: Worker, pool: WorkerPool, alone: bool, /) -> Suspension:
        """Wait for the worker's coroutine, and go on with its message; unless `alone`, then as `carry` does."""

    def begin(self, worker: Worker, frame: Frame, index: int, /) -> int:
        """Carry a message that begins at this stage."""

    def answer(self, worker: Worker, frame: Frame, index: int, result: Any, /) -> int:
        """Carry a message for which this stage has returned already."""

    def proceed(self, worker: Worker, result: Any, /) -> int:
        """Go on with the worker's message, whose adapter has returned."""

    def change(self, worker: Worker, payload: bytes | None, headers: Mapping[str, Any] | None, /) -> int:
        """Go on with the worker's message at its next stage; None leaves payload or headers as they are."""

    def takable(self, turn: int, /) -> int:
        """Return the number of messages that one turn may take now, at most `turn`.

        0 without work or a permit, or while paused; -1 if only room is missing.
        """

    @property
    def reserved(self) -> int:
        """Number of messages in adapters that will need room; those that emit lazily ask for room themselves."""

    def room(self, own: int, /) -> int:
        """Return how many more messages every outbound that is read can take beside the reserved ones, except `own` of them."""
