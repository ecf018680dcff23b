"""Rust half of factflow-engine. Import it through `factflow_engine.native`."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence, Sized
from contextvars import Context
from types import FrameType, GenericAlias
from typing import Any, Final, Generic, Never, Self, TypeVar, final

from typing_extensions import disjoint_base

__all__ = [
    "ATTEMPT_ANSWERED",
    "ATTEMPT_DROPPED",
    "ATTEMPT_IGNORED",
    "BUILT_IN_OPERATORS",
    "CONDITION_CODES",
    "EMITTED",
    "FURTHER_LIMIT_SCENARIOS",
    "LIMIT_ALGORITHMS",
    "LIMIT_SCALES",
    "LIMIT_SCENARIOS",
    "LINEAGE_HOLDERS",
    "LINEAGE_OUTCOMES",
    "LINEAGE_STATUSES",
    "PULL_BLOCKED",
    "PULL_CARRIED",
    "PULL_EXHAUSTED",
    "PULL_MADE",
    "PULL_PULLING",
    "PULL_SWITCH",
    "PULL_TURN_OVER",
    "STEP_AWAITABLE",
    "STEP_ENDED",
    "STEP_LAST_CHILD",
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
    "Child",
    "Children",
    "ConcurrencyLimit",
    "Condition",
    "Counters",
    "Family",
    "FieldPath",
    "Frame",
    "FrameDecoder",
    "Journal",
    "LeasedFrame",
    "LimitController",
    "LimitPermit",
    "LimitScenario",
    "LineageBatch",
    "LineageLog",
    "LineageRoute",
    "LoopWatch",
    "MessageContext",
    "Notifier",
    "PatternBudget",
    "Publisher",
    "Pull",
    "Puller",
    "RouteTable",
    "RouteTableStatistics",
    "Siblings",
    "Suspension",
    "TextExamples",
    "TimeOrderedIds",
    "WatchedCall",
    "Worker",
    "WorkerPool",
    "compare_limits",
    "compile_condition",
    "encoded_frames",
    "label_of",
    "leased_frames",
    "limit_parameters",
    "pack",
    "panic_on_purpose",
    "path_steps",
    "peeked_frame",
    "unpack",
    "validate",
]

# Values and their bytes

def pack(value: object, /) -> bytes:
    """Encode a message value as msgpack.

    The types are None, bool, int of 64 bits (signed or unsigned), float, str, bytes (also bytearray and memoryview),
    list and tuple, dict with str keys, `Timestamp`, `Ext`, and aware `datetime`, which becomes a `Timestamp`.
    Subclasses of these are encoded by value: a `StrEnum` member as its text, a named tuple as a list.

    Raises:
        CodecError: The value holds another type, is nested deeper than 128 containers (as one that contains itself is),
        or has more than a million elements. The text begins with the path: `message.items[3].when: ...`.
    """

def unpack(data: bytes, /) -> object:
    """Decode untrusted msgpack.

    Everything is checked: lengths, UTF-8, unique str keys, timestamps, 128 levels, a million elements, nothing after
    the value. Time and memory are linear in the bytes given, whatever lengths they declare.

    Raises:
        TruncatedError: The bytes end too early.
        CorruptError: They can never become valid. Both errors have the `offset`.
    """

def validate(data: bytes, /) -> None:
    """Check everything that `unpack` checks, without building the value; several times faster.

    Raises:
        TruncatedError: The bytes end too early.
        CorruptError: They can never become valid. Both errors have the `offset`.
    """

def panic_on_purpose(said: str, /) -> None:
    """Panic in Rust, as no other function does; for the test of panics.

    Raises:
        NativePanicError: Always.
    """

def label_of(text: str, /) -> int:
    """Return a stable 64-bit hash of a text, for `Frame.child`: the same in every process, version and machine."""

# Frames

@final
class Frame:
    """One message as it moves between queues: ids, attempt, time, key, headers and payload. Immutable.

    Frames are equal if they encode to the same bytes. They are not pickled: `encode` is their wire form.
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
        """Make a frame around a payload that is trusted to be one msgpack value, from `pack` or checked by `validate`.

        Args:
            payload: Msgpack bytes, stored by reference; at most 62 MiB.
            message_id: 16 bytes, time-ordered.
            correlation_id: 16 bytes; the message's own id if None.
            parent_id: 16 bytes; None for a root.
            attempt: From 1.
            time_ns: Nanoseconds since the Unix epoch, 64 bits.
            key: What the message belongs to, for routes with `inbound.ordering: key`; at most 64 KiB.
            headers: Any message values under str keys, at most 512 KiB; encoded at once.

        Raises:
            CodecError: An id does not have 16 bytes, the attempt is below 1, a header cannot be carried, or something
            is too long: every frame that can be made can also be read, wherever it was stored.
        """

    @staticmethod
    def decode(data: bytes, *, max_bytes: int = 67108864) -> Frame:
        """Read one untrusted frame; header and payload are checked as by `unpack`.

        Args:
            data: Exactly one frame.
            max_bytes: Longest frame accepted; checked before the length that the frame declares is used.

        Raises:
            TruncatedError: The bytes end within the frame.
            CorruptError: They are not a frame, were changed on the way, or are too long.
        """

    def encode(self) -> bytes:
        """Return the wire form, which memory, files and brokers carry."""

    def child(
        self,
        label: int,
        ordinal: int,
        *,
        payload: bytes | None = None,
        headers: Mapping[str, object] | None = None,
        time_ns: int | None = None,
    ) -> Frame:
        """Make a message emitted from this one; label, ordinal and payload determine its id.

        The id begins with the first six bytes (the time) of this one's; its parent is this message, its correlation id
        and key are this one's, and its attempt is 1.

        Args:
            label: Hash of the emitting stage: 64 bits, unsigned; see `label_of`.
            ordinal: Its number among the messages that this one emits there, from 0.
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
        """Return the same message with another attempt, headers or time; ids, key and payload stay.

        Args:
            attempt: From 1; None keeps it.
            headers: All headers of the new frame; None keeps them.
            time_ns: None keeps it.

        Raises:
            CodecError: The attempt is below 1, or a header cannot be carried.
        """

    def value(self) -> object:
        """Decode the payload, into a new object for each call."""

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
        """Number of the attempt, from 1."""

    @property
    def time_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""

    @property
    def key(self) -> str | None:
        """Key of the message; None if there is none."""

    @property
    def headers(self) -> Mapping[str, object]:
        """Headers, read-only and decoded at each access: keep them if you read them twice."""

    @property
    def payload(self) -> bytes:
        """The message's msgpack bytes: the same object each time."""

    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class LeasedFrame:
    """A frame that a store has handed out under a lease.

    Attributes:
        message: Its attempt counts this delivery.
        seq: Its number in the store.
        token: Of the lease.
    """

    def __new__(cls, message: Frame, seq: int, token: int, /) -> Self: ...
    @property
    def message(self) -> Frame: ...
    @property
    def seq(self) -> int: ...
    @property
    def token(self) -> int: ...

def leased_frames(data: bytes, first: int, token: int, /) -> list[LeasedFrame]:
    """Read frames that stand one behind the other, all under one lease.

    Args:
        data: Frames and nothing else.
        first: Number of the first; the others count up from it.
        token: Of the lease.

    Raises:
        CodecError: The bytes are no sequence of frames.
    """

def encoded_frames(frames: list[Frame], /) -> tuple[list[bytes], list[bytes]]:
    """Return the ids of frames, and the bytes of each."""

def peeked_frame(data: bytes, /) -> tuple[Frame, int]:
    """Read the header of a frame that may be cut off behind it; the payload is not read.

    Args:
        data: The beginning of one frame.

    Returns:
        The frame with nil for its payload, and the number of bytes that its payload has.

    Raises:
        TruncatedError: The bytes end within the header.
        CorruptError: They are not a frame. The checksum is not compared: it needs the whole frame.
    """

@final
class FrameDecoder:
    """Decoder of frames from a stream in pieces of any size: feed, then iterate until it is exhausted, again.

    Memory is bounded by what was fed and not yet taken; a length that a frame declares reserves nothing.
    """

    def __new__(cls, *, max_frame_bytes: int = 67108864) -> FrameDecoder: ...
    def feed(self, data: bytes, /) -> None:
        """Add bytes. They are dropped after the stream was found corrupt: `next` raises the error."""

    def next(self) -> Frame | None:
        """Return the next frame, or None until more is fed.

        Raises:
            CorruptError: The stream is not a sequence of frames from here on; raised again by every further call. Its
            `offset` counts from the beginning of the stream.
        """

    def finish(self) -> None:
        """End the stream.

        Raises:
            TruncatedError: Part of a frame remains.
            CorruptError: The stream or its rest is corrupt.
        """

    @property
    def pending_bytes(self) -> int:
        """Number of bytes that were fed and do not belong to a frame that was taken."""

    def __iter__(self) -> Iterator[Frame]: ...
    def __next__(self) -> Frame: ...

BUILT_IN_OPERATORS: Final[tuple[str, ...]]
CONDITION_CODES: Final[tuple[str, ...]]

@final
class FieldPath:
    """Path of exactly one field of a message, written as in conditions.

    Args:
        text: `a.b`, `a[0].b`, `a."x.y"`, `/a/0/b`, or `@` for the whole message.

    Raises:
        ValueError: The text is not a path, or names several fields (`[*]`).
    """

    def __new__(cls, text: str, /) -> FieldPath: ...
    def value(self, payload: bytes, /) -> object:
        """Return the field's value in a message given as its msgpack bytes; None if it is missing or nil.

        Raises:
            CodecError: The payload is malformed where it is read.
        """

def path_steps(path: str | list[str | int], /) -> list[tuple[str | None, int | None]]:
    """Return the steps of a path as conditions write it: a key, an index, either of the two, or neither for `[*]`.

    Raises:
        ValueError: It is not a path.
    """

@final
class TextExamples:
    """The texts that meet several demands at once, or the proof that there is none.

    Demands are automata over bytes, and their product is walked: 20,000 states at most, 1 MiB for each demand.

    Args:
        demands: Name, value, and whether it is to be met or not to be met. `matches` has a pattern; `starts_with`,
            `ends_with` and `contains` have bytes; `length` the least and the greatest number of characters (None: any);
            `ordered` has bytes, and three bools that say whether a text below, equal and above meets it.
        is_text: False for bytes that need not be UTF-8, whose length is counted in bytes.

    Raises:
        ValueError: Within these bounds it cannot be found out whether there is any; or a demand has no such name.
    """

    def __new__(cls, demands: list[tuple[str, Any, bool]], /, *, is_text: bool = True) -> TextExamples: ...
    def shortest(self) -> bytes | None:
        """Return the shortest, of the plainest characters; None if no text meets the demands."""

    def chosen(self, choices: bytes, /) -> bytes | None:
        """Return the one that choices lead to, a byte for each step; zero is the plainest step, and the nearest end follows."""

@final
class Condition:
    """A compiled condition, immutable and usable from any thread.

    Made by `factflow_engine.conditions.compile_condition`.
    """

    @property
    def source(self) -> dict[str, object]:
        """Copy of the source, made when the condition was compiled. Changes to it have no effect."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Top-level fields of a message that it reads, in the order in which it is written.

        A path that begins with an index, or is `@`, reads the message as a whole and is not among them.
        """

    def matches(self, payload: bytes, /) -> bool:
        """True if the condition holds for a message.

        Takes at most time linear in the message, and decodes only fields for a user's operator.

        Args:
            payload: The message's msgpack bytes, validated at ingress.

        Raises:
            CodecError: The bytes are malformed where the condition reads; elsewhere that is not noticed.
            ConditionOperatorError: A user's operator raised, or did not answer.
        """

    def matches_value(self, value: object, /) -> bool:
        """True if the condition holds for a message given as a value, which is packed first.

        Raises:
            CodecError: No message can carry the value.
            ConditionOperatorError: A user's operator raised, or did not answer.
        """

@final
class PatternBudget:
    """Memory budget that the patterns of several conditions share.

    Args:
        size: Bytes; by default 64 MiB, the budget of a single condition.
    """

    def __new__(cls, size: int = ...) -> PatternBudget: ...
    @property
    def left(self) -> int:
        """Bytes left for further patterns. Patterns that were refused for their size count, too: they took time."""

def compile_condition(
    source: object,
    operators: object,
    snapshot: Callable[[Any], Any],
    budget: PatternBudget | None = None,
    /,
) -> Condition:
    """Compile a condition; call `factflow_engine.conditions.compile_condition` instead.

    Args:
        source: The condition as its author wrote it.
        operators: An `OperatorRegistry`, or None.
        snapshot: Makes the copy that the condition keeps as its `source`.
        budget: Memory budget of the patterns; None: 64 MiB for this condition.

    Raises:
        ConditionErrors: The condition is invalid.
    """

# Tables of conditions

_Id = TypeVar("_Id")

@final
class RouteTable(Generic[_Id]):
    """Many conditions, evaluated together: finds those that hold for a message.

    Each rule is filed under the part of it that the fewest rules share, so that matching takes about the same time for
    ten rules as for ten thousand, as long as few of them hold. Rules that cannot be filed, because all their parts are
    negative, are evaluated for every message: `statistics()` counts them.

    It is immutable and may be used from any thread. To change the rules, build another table. Building is one call that
    takes about half a second and 60 MB for 100,000 rules: nothing else runs meanwhile, in other threads either, and
    cancellation waits. So build large tables before messages flow.

    Args:
        rules: Pairs of an id, which may be anything, and a condition as `compile_condition` takes it.
        operators: An `OperatorRegistry` with operators besides the built-in ones, or None.
        budget: Memory budget of the patterns; None: 64 MiB for this table.

    Raises:
        ConditionErrors: Some rules are invalid; the error holds every problem of all of them. A finding's path begins
        with the index of its rule. That patterns take too much memory together is reported once, at the first one that
        does not fit.
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
        """Return the ids of all rules that hold for a message, in the table's order.

        Args:
            payload: The message's msgpack bytes, validated at ingress.

        Raises:
            CodecError: The bytes are malformed where a rule reads; elsewhere that is not noticed.
            ConditionOperatorError: A user's operator raised, or did not answer.
        """

    def match_first(self, payload: bytes, /) -> _Id | None:
        """Return the id of the first rule, in the table's order, that holds for a message; None if none does.

        Raises:
            CodecError: As `match`.
            ConditionOperatorError: As `match`.
        """

    def match_indices(self, payload: bytes, /) -> tuple[int, ...]:
        """Return the indices in the table of all rules that hold for a message, in order.

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
        """Total number of rules: `indexed_rules`, `always_asked_rules` and `impossible_rules` together."""

    @property
    def indexed_rules(self) -> int:
        """Rules that are evaluated only if the index selects them."""

    @property
    def always_asked_rules(self) -> int:
        """Rules that are evaluated for every message: the part of the time that grows with the table."""

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

LIMIT_ALGORITHMS: tuple[str, ...]
"""Names of the algorithms of concurrency limits."""

@disjoint_base
class ConcurrencyLimit:
    """A concurrency limit by one of the algorithms; all times are arguments, in nanoseconds.

    Use `factflow_engine.resilience.limits.new_limit`, which makes the subclass that explains its changes.
    """

    def __new__(
        cls,
        name: str,
        parameters: dict[str, Any],
        probe_jitter: list[float] | Callable[[], float] | None,
        seed: int,
        /,
    ) -> Self:
        """Make an algorithm.

        Raises:
            ValueError: There is none of this name, or a parameter is unknown or outside its bounds.
            TypeError: A parameter is not a number.
        """

    @property
    def name(self) -> str:
        """Name of the algorithm."""

    @property
    def limit(self) -> int:
        """Calls that may be in flight: 1 at least."""

    def on_sample(self, *, start_ns: int, rtt_ns: int, in_flight: int, dropped: bool = False) -> None:
        """Learn from a call that has ended; `in_flight` were there when it started, itself included.

        Raises:
            TypeError: The algorithm counts calls itself.
            ValueError: The algorithm needs a latency above 0, and `rtt_ns` is 0.
        """

    def on_start(self, now_ns: int) -> None:
        """Note that a call starts, for an algorithm that counts calls itself.

        Raises:
            TypeError: The algorithm takes samples.
        """

    def on_blocked(self, now_ns: int) -> None:
        """Note that a call wants to start and may not; only then do some algorithms allow more."""

    def on_finish(self, now_ns: int, start_ns: int, outcome: str = "success") -> None:
        """Learn from a call that has ended with `success`, `dropped` or `ignored`.

        Raises:
            TypeError: The algorithm takes samples.
            ValueError: There is no such outcome.
        """

    def last_change(self) -> tuple[int, int, int, str, dict[str, float]] | None:
        """Return time, limits before and after, reason and statistics of the last change; None before the first."""

def limit_parameters(name: str, /) -> tuple[str, ...] | None:
    """Return the names of the parameters of a built-in limit algorithm, without `window`; None if it is none of them."""

@disjoint_base
class LimitController:
    """Gives permits for calls, as many at a time as an algorithm allows; all times are arguments, in nanoseconds.

    Use `factflow_engine.BackpressureController`, which names the parameters and adds trio.
    """

    def __new__(
        cls,
        algorithm: str,
        parameters: dict[str, Any],
        own: Any,
        /,
        *,
        probe_jitter: list[float] | None,
        seed: int,
        least: int,
        most: int,
        monitor_only: bool,
        now_ns: int,
    ) -> Self:
        """Make a controller of a built-in algorithm; or of an `OwnLimit`, if `own` is not None.

        Raises:
            ValueError: There is no such algorithm, or a parameter is unknown or outside its bounds.
            TypeError: A parameter is not a number.
        """

    def try_acquire(self, now_ns: int) -> LimitPermit | None:
        """Return a permit for one call, or None at the limit: the algorithm then knows that a call waits."""

    def advance(self, now_ns: int) -> None:
        """Do what is due by time alone. Errors are those of the program's own algorithm."""

    def refuse(self, now_ns: int) -> None:
        """Count a call that has to wait for a permit, and was not refused by `try_acquire`."""

    def crowd(self, now_ns: int) -> None:
        """Tell the algorithm that a call, which was counted when it was refused, still waits for a permit."""

    def freeze(self) -> None:
        """Learn nothing more until `restart`; the limit stays. For the time of an open circuit breaker."""

    def cap(self, most: int, now_ns: int) -> None:
        """Apply no limit above `most` until `restart`. For the trial calls of a circuit breaker."""

    def restart(self, now_ns: int) -> None:
        """Go on after `freeze` and `cap`, with half of the limit, for a dependency that has just come back."""

    def reset(self, now_ns: int) -> None:
        """Begin anew at the first limit; permits that are out no longer count."""

    def learnt(self) -> tuple[int, int | None]:
        """Return the limit that was found, and the latency in nanoseconds without a queue, if the algorithm knows it."""

    def relearn(self, limit: int, baseline_ns: int | None, now_ns: int) -> None:
        """Begin with what `learnt` has returned, within the present bounds."""

    @property
    def limit(self) -> int:
        """Calls that may be in flight: 1 at least."""

    @property
    def free(self) -> int:
        """Number of calls that may start now; without bound if the limit gates nothing."""

    @property
    def in_flight(self) -> int:
        """Number of permits that are out."""

    @property
    def next_deadline_ns(self) -> int | None:
        """Time at which `advance` has something to do; None if time alone changes nothing."""

    @property
    def is_monitor_only(self) -> bool:
        """True if the limit is computed and gates nothing."""

    @property
    def is_frozen(self) -> bool:
        """True from `freeze` to `restart`."""

    @property
    def has_waiters(self) -> bool:
        """True while tasks wait for a permit: `_admit` is then called when one may be free."""

    @has_waiters.setter
    def has_waiters(self, has_waiters: bool) -> None: ...
    def last_change(self) -> tuple[int, int, int, str, dict[str, float]] | None:
        """Return time, limits before and after, reason and statistics of the last change; None before the first."""

    def figures(self) -> dict[str, Any]:
        """Return the counts of calls, and the limit's history in brief, by name (see `LimitStatistics`)."""

@final
class LimitPermit:
    """Right of one call to be in flight, to be given back once: recorded or released.

    A permit that is dropped is released. Made by `BackpressureController.try_acquire`.
    """

    def record(self, now_ns: int, dropped: bool = False) -> bool:
        """Give it back with a sample of the call; True if that counts.

        It does not count if the permit was given back before, if the controller was reset meanwhile or has learnt
        nothing since because of a circuit breaker, or if the call took no time and the algorithm needs some.

        Args:
            now_ns: The present time.
            dropped: True if the call failed from overload: a time-out, a refusal.
        """

    def release(self) -> None:
        """Give it back without a sample, as if the call had not been made; does nothing if it was given back before."""

    @property
    def is_settled(self) -> bool:
        """True if it was given back."""

    @property
    def acquired_ns(self) -> int | None:
        """Time at which it was given, by the caller's clock; None once it was given back."""

# Comparison of concurrency limits

LIMIT_SCENARIOS: tuple[str, ...]
"""Names of the published scenarios."""

FURTHER_LIMIT_SCENARIOS: tuple[str, ...]
"""Names of the scenarios outside the published table, which are simulated when they are asked for by name."""

LIMIT_SCALES: tuple[float, ...]
"""Scales at which each is run."""

@final
class LimitScenario:
    """A server, a load and a time to simulate, with the oracle's limits and a seed."""

    @staticmethod
    def published(name: str, scale: float, /, *, seed: int = 1) -> LimitScenario:
        """Return a scenario of the catalogue, its capacities multiplied by `scale`.

        Raises:
            ValueError: There is none of this name, or the scale is not above 0 and up to 1000.
        """

    @staticmethod
    def varied(name: str, scale: float, /, *, seed: int, number: int) -> LimitScenario:
        """Return a variant of a scenario of the catalogue: other capacities, times and seed.

        Raises:
            ValueError: As for `published`.
        """

    @staticmethod
    def described(description: dict[str, Any]) -> LimitScenario:
        """Return a scenario of a checked description; `factflow_engine.limit_suite` makes them of files and recordings.

        Args:
            description: `name`, `seed`, `duration_ns`, `target_ns`, `timeout_ns` or None, `joins` and `leaves` (times of
            routes), `load` (its `kind`, `rate` and what that kind has) or None for a backlog, `limits` (times and limits of
            the oracle) or None for the best ones, and `server` with its `model` and what that has.

        Raises:
            KeyError: A part is missing.
            ValueError: There is no such model.
            TypeError: A part is of another type.
        """

    @property
    def name(self) -> str:
        """Name; that of the scenario that it varies."""

    @property
    def scale(self) -> float:
        """Scale of its capacities."""

    @property
    def duration_ns(self) -> int:
        """Duration in nanoseconds."""

    @property
    def target_ns(self) -> int:
        """Latency in nanoseconds that callers want at most."""

    @property
    def limits(self) -> list[tuple[int, int]]:
        """Limits of the oracle for each route: times in nanoseconds and limits."""

def compare_limits(
    scenarios: list[LimitScenario],
    contenders: list[tuple[str, dict[str, Any]] | Callable[[], Any]],
    *,
    threads: int,
    bins: int | None,
    done: Callable[[int, int | None, dict[str, Any]], object],
) -> None:
    """Run every contender in every scenario, and the oracle in each; tell each result as it comes.

    Built-in algorithms, by name and parameters, run on threads without the interpreter's lock; then those that a function
    makes, with `limit` and `on_sample`, on this thread.

    Args:
        scenarios: The scenarios.
        contenders: The algorithms.
        threads: Most simulations at a time.
        bins: Number of bins of what can be drawn; None for nothing.
        done: Called on this thread with the places of scenario and contender (None: the oracle), and the measures.

    Raises:
        ValueError: A built-in algorithm cannot be made.
        Exception: What an algorithm or `done` raises; a signal's exception at once.
    """

@final
class BreakerSettings:
    """Checked parameters of a circuit breaker; durations are nanoseconds.

    Use `factflow_engine.resilience.CircuitBreakerSettings`, which documents each parameter.
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
            ValueError: A bound is violated; the text begins with the parameter's name.
        """

@disjoint_base
class Breaker:
    """State machine of a circuit breaker, behind a lock; all times are arguments, in nanoseconds.

    Use the subclass `factflow_engine.resilience.CircuitBreaker`, which defines `_classify` and `_deliver`; this class
    calls them.
    """

    def __new__(cls, settings: BreakerSettings, seed: int, report_calls: bool, /) -> Self: ...
    def try_acquire(self, now_ns: int) -> BreakerPermit | None:
        """Acquire a permit; None if the call is refused. An open breaker whose wait is over permits a trial call.

        Args:
            now_ns: The present time. A time earlier than one given before counts as that one, in every method.
        """

    def advance(self, now_ns: int) -> None:
        """Do what is due without a call, as a timer would.

        That is: end the leases of trial calls, end a half-open state that lasted too long, and end the wait in the open
        state if the settings make it automatic. `try_acquire` and `record` do this first.
        """

    def reset(self, now_ns: int) -> None:
        """Reset the breaker to a new, closed one, whatever its state; only the lifetime counters stay."""

    def move_to(self, state: str, now_ns: int) -> bool:
        """Change the state by hand; False if that change is not allowed, and then nothing changed.

        Raises:
            ValueError: There is no state of this name.
        """

    def move_to_open_for(self, wait_ns: int, now_ns: int) -> bool:
        """Open the breaker by hand for that long; False if that change is not allowed, and then nothing changed."""

    @property
    def state(self) -> str:
        """Name of its state at the latest time that it was told."""

    @property
    def next_deadline_ns(self) -> int | None:
        """Time at which `advance`, or a new call, may next have something to do; None if time alone changes nothing."""

    def retry_after_ns(self, now_ns: int) -> int | None:
        """Return the nanoseconds until a call may be permitted; 0 for now, None if only an operator decides."""

    def stats_at(self, now_ns: int | None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the present state and the counts over life, as keywords of `CircuitStats` and `CircuitTotals`.

        Args:
            now_ns: The present time, or None for the latest time that it was told. Changes nothing.
        """

@final
class BreakerPermit:
    """Right to make one call, to be given back once: recorded or released.

    A permit that is dropped is released. Made by `Breaker.try_acquire`.
    """

    def record(self, now_ns: int, duration_ns: int, error: BaseException | None = None) -> bool:
        """Give it back with the result of the call; True if that counts in the breaker's rates.

        It does not count if the breaker has changed state since the permit was given, if the trial call's lease is
        over, or if the error is one that counts as nothing (see `CircuitBreaker`).

        Args:
            now_ns: The present time.
            duration_ns: Duration of the call.
            error: Exception of the call; None is a success. A pause that it asks for is granted.

        Raises:
            RuntimeError: It was given back before.
        """

    def record_failure(self, now_ns: int, duration_ns: int, retry_after_ns: int | None = None) -> bool:
        """Give it back with a result that counts as a failure although nothing was raised.

        Args:
            now_ns: The present time.
            duration_ns: Duration of the call.
            retry_after_ns: Pause that the result asks for.

        Raises:
            RuntimeError: It was given back before.
        """

    def release(self) -> None:
        """Give it back without a result, as if the call had not been made; does nothing if it was given back before."""

    @property
    def is_settled(self) -> bool:
        """True if it was given back."""

    @property
    def acquired_ns(self) -> int:
        """Time at which it was given, by the caller's clock."""

# The hop: what is done for every message

EMITTED: Final[str]
PULL_EXHAUSTED: Final[int]
PULL_TURN_OVER: Final[int]
PULL_BLOCKED: Final[int]
PULL_MADE: Final[int]
PULL_CARRIED: Final[int]
PULL_SWITCH: Final[int]
PULL_PULLING: Final[int]
STEP_ENDED: Final[int]
STEP_SUSPENDED: Final[int]
STEP_AWAITABLE: Final[int]
STEP_RETURNED: Final[int]
STEP_STRANDED: Final[int]
STEP_LEFT_OPEN: Final[int]
STEP_LAST_CHILD: Final[int]
ATTEMPT_ANSWERED: Final[int]
"""End of an attempt that the dependency answered, whatever the answer."""
ATTEMPT_DROPPED: Final[int]
"""End of an attempt that failed from overload."""
ATTEMPT_IGNORED: Final[int]
"""End of an attempt that says nothing of the dependency: cancelled, or refused by a circuit breaker."""

@disjoint_base
class Channel:
    """First-in-first-out queue of frames with a soft bound; base of the memory queue's channels.

    After `order_by_key` it hands out one frame of a key at a time: the others wait behind it, until `end` is called for
    it or it is given back. The frame taken is always the oldest one that can be taken.

    Attributes:
        owner: Name of the queue or subscription.
        capacity: Number of waiting frames at which it is full.
        armed: True if `tell` is called after a frame was added.
        awaited: True if `tell_of_room` is called after a frame was taken.
        is_read: True if it has a consumer.
        shared: True if it has several.
        sole: Callback of the only one, called in place of `tell`.
    """

    def __new__(cls, owner: str, capacity: int) -> Self: ...
    @property
    def owner(self) -> str: ...
    capacity: int
    armed: bool
    awaited: bool
    is_read: bool
    shared: bool
    sole: Callable[[], None] | None
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
        """Hand out one frame of a key at a time from now on; frames taken before do not count."""

    def end(self, frame: Frame, /) -> None:
        """Note that a taken frame has ended, and notify the consumers if another one can be taken for it.

        Does nothing for a frame without a key, or for one that is not the taken frame of its key.
        """

    @property
    def is_full(self) -> bool:
        """True if publishers must wait."""

    def append(self, frame: Frame, /) -> None:
        """Add a frame, whatever the capacity, and notify the consumers if it can be taken."""

    def append_all(self, frames: Sequence[Frame], /) -> None:
        """Add frames in their order, as `append` does, and tell the consumers once."""

    def put_first(self, frame: Frame, /) -> None:
        """Put a taken frame back as the next to be taken, without a notification."""

    def take(self) -> Frame | None:
        """Take the oldest frame that can be taken; None if there is none."""

    def take_some(self, most: int, /) -> list[Frame]:
        """Hand out the oldest frames that can be taken, one after the other, at most so many."""

    def frames(self) -> list[Frame]:
        """Return all frames, oldest first; they stay."""

    def clear(self) -> None:
        """Remove all frames."""

    def tell(self) -> None:
        """Notify the consumers; does nothing here."""

    def tell_of_room(self) -> None:
        """Notify publishers that wait for room; does nothing here."""

@final
class Batch:
    """Root messages with consecutive ids, made together."""

    def __new__(cls, payloads: Sequence[Any], /, *, first_id: bytes, time_ns: int) -> Self:
        """Encode all payloads.

        Raises:
            CodecError: A payload cannot be carried by a message.
        """

    @property
    def left(self) -> int:
        """Number of frames that have not been moved."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of all of them, 32 hexadecimal digits each."""

    def pour(self, channels: list[Channel] | list[Any], limit: int, /) -> None:
        """Move the next messages, at most `limit`, to each of these channels, and notify their consumers once."""

@final
class Publisher:
    """Publisher of root messages into the channels of routes, for messages that neither wait nor are refused."""

    def __new__(
        cls, channels: dict[str, list[Channel]] | dict[str, Any], *, wall_ns: Callable[[], int], ids: Any
    ) -> Self:
        """Prepare.

        Args:
            channels: Route id to the list of channels that its messages go to; the owner of a list may change it.
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

        Return None, and do nothing, if there is no such route, if one of its channels with a consumer is full, if the
        key is not a string, or after `close`.

        Raises:
            CodecError: The payload, the headers or the key cannot be carried by a message.
        """

@final
class TimeOrderedIds:
    """UUIDv7-like ids: 48 bits of milliseconds, then randomness, counted up within a millisecond.

    80 random bits are drawn once a millisecond; further ids of the same millisecond add one, so that ids of one source are
    strictly ordered and cost no system call.
    """

    def __new__(cls, randomness: Any) -> Self:
        """Make a source that draws from `randomness`, see `factflow_engine.seams.Randomness`."""

    def new(self, wall_ns: int) -> bytes:
        """Return 16 bytes that begin with the time in milliseconds."""

    def reserve(self, wall_ns: int, count: int) -> bytes:
        """Return the first of `count` consecutive ids, as numbers."""

@final
class MessageContext:
    """One message at one stage: the engine's `PipelineContext`, and the state of a message in the loop."""

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
        """Object of the stage; None past the last stage."""

    @property
    def index(self) -> int:
        """Index of the stage in the route."""

    @property
    def begun_ns(self) -> int:
        """Time at which this attempt at the route began, by the loop's clock."""

    @property
    def frame(self) -> Frame:
        """The message's frame, as taken."""

    @property
    def visit_ns(self) -> int:
        """Time at which its visit to the stage began, by the loop's clock; 0 if lineage is not recorded."""

    def wait_for_permit(self, waited_ns: int, /) -> None:
        """Note that the stage's own limit let it wait so long: its visit begins when it has a permit."""

    def with_headers(self, headers: Mapping[str, Any], /) -> MessageContext:
        """Return the same message with other headers.

        Raises:
            CodecError: A message cannot carry them.
        """

    def merged(self, changes: Mapping[str, Any], /) -> dict[str, Any]:
        """Return the headers with these merged over them; a value of None removes one."""

@final
class Child:
    """A message that is not taken from the inbound queue: a stage emitted it, or it is retried.

    Args:
        frame: Its frame.
        index: The stage to begin at, or the stage of `result` if that is given.
        parent: Its `Parent`; None for a message that originally came from the inbound queue.
        result: Result that the stage at `index` has returned for it already (from `finish`).

    Attributes:
        since_ns: Time from which on it may begin, if it waits for a worker.
        deferrals: Number of times that adapters have deferred it.
        deferred_ns: Time of the first deferral, by the loop's clock; meaningless before.
    """

    def __new__(cls, frame: Frame, index: int, parent: Any, result: Any = None, /, *, since_ns: int = 0) -> Self: ...
    since_ns: int
    deferrals: int
    deferred_ns: int
    @property
    def frame(self) -> Frame:
        """Its frame."""

    @property
    def index(self) -> int:
        """The stage to begin at."""

    @property
    def parent(self) -> Any:
        """The `Parent`, or None."""

    @property
    def result(self) -> Any:
        """Result that the stage has returned already, or None."""

    @property
    def last_error(self) -> str | None:
        """Description of the last attempt's error, if it was kept."""

    def waited(self, ns: int, code: int, /) -> None:
        """Add a wait, for its row of lineage; the code is the place in `LINEAGE_HOLDERS` of what it was for."""

    def retried(self, frame: Frame, last_error: str | None = None, /) -> Child:
        """Return the message for another attempt, with that attempt's frame and the last attempt's error."""

@final
class Children:
    """Messages that have begun inside a route and wait for a worker, in order. What is taken or iterated over are copies."""

    def __new__(cls) -> Self: ...
    def append(self, child: Child, /) -> None:
        """Add one behind the others."""

    def take(self) -> Child | None:
        """Take the first one, if there is one."""

    def take_later(self, index: int, most: int, /) -> Child | None:
        """Take the first of the foremost `most` that begins at a later stage than `index`, if there is one."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Child]: ...

@disjoint_base
class Family:
    """The number of children of one message that have not ended; base of `Parent`. Its own arguments are ignored.

    Attributes:
        open: Number of children that have not ended.
        exhausted: True if no more will come.
    """

    def __new__(cls, *_arguments: Any) -> Self: ...
    open: int
    exhausted: bool

@final
class Pull:
    """The rest of a native pull, to be awaited: gives an element or what stands for the end, or raises what the source raised."""

    def __await__(self) -> Generator[Any, Any, Any]: ...
    def __next__(self) -> Any: ...
    def send(self, value: Any, /) -> Any: ...
    def throw(self, *error: Any) -> Any: ...
    def close(self) -> None: ...
    @property
    def cr_frame(self) -> Any:
        """The source's frame, so that a print of where a task waits shows it."""

    @property
    def cr_await(self) -> Any:
        """The object that the source awaits."""

@final
class Puller:
    """Pulls the children that a stage emitted, as far as nobody has to wait.

    Those past the last stage are published; others are handed to other workers or carried, by the rules of `fan_out`.

    Args:
        carrier: The route's.
        worker: The worker that drives the message.
        parent: The message's `Parent`; children that have not ended are added to its `open`.
        siblings: Names its children.
        driving: Workers that drive messages of the route; a live view.
        attend: Has a worker look at the route.
        exhausted: Stands for the end of a source.
    """

    def __new__(
        cls,
        carrier: Carrier,
        worker: Worker,
        parent: Family,
        siblings: Siblings,
        driving: set[Worker],
        attend: Callable[[], None],
        exhausted: object,
        /,
    ) -> Self: ...
    def pull(self, source: Iterator[Any] | AsyncGenerator[Any, Any], /) -> int:
        """Pull until Python is needed, and return why.

        `PULL_EXHAUSTED` (there is no more), `PULL_TURN_OVER` (the worker's time is up), `PULL_BLOCKED` (before an element:
        the route is paused or without room, or another child comes first, or another context), `PULL_MADE` (`take()` is a
        new child, to be handed on or carried), `PULL_CARRIED` (`take()` is a child on its way, at the step `carried()`),
        `PULL_SWITCH` (a child has ended and has set context variables), `PULL_PULLING` (`take()` is the rest of a pull).
        Raises what the source raised, and what refuses an element.
        """

    def take(self) -> Any:
        """Take what the last stop has left."""

    def carried(self) -> int:
        """Return the step at which the child that was left is, or raise what its stage has raised."""

@final
class Siblings:
    """Makes the children that one message emits at one stage, one after another.

    A child's id derives from the parent's id, the stage and the child's payload, and from its ordinal; or, if it has a
    key, from the key and its number among children of this key and payload. For the first 1,048,576 keys 8 bytes each
    are stored (16 in the table); the ids of further keyed children derive from their ordinals, too.

    Args:
        parent: The parent message.
        label: Label of the stage; see `label_of`.
    """

    def __new__(cls, parent: MessageContext, label: int, /) -> Self: ...
    def next(self, given: object, /) -> Frame:
        """Make the next child from a message value or an `Emit`.

        Raises:
            CodecError: A message cannot carry the value or its headers; or its key cannot be encoded.
        """

    @property
    def made(self) -> int:
        """Number of children made so far."""

@final
class Counters:
    """Counters of one route's messages: begun, and ended by outcome."""

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
        """Messages begun, not ended and not waiting for another attempt; derived, so that counters always balance."""

@final
class Worker:
    """State of one worker of the loop.

    Attributes:
        route: The route that it serves.
        context: The message that it carries, at its present stage; None if it carries none.
        pending: Awaitable that it waits for: a coroutine that has been started, or another one that has not.
        value: Trap that the coroutine waits for, or result of an adapter.
        since_ns: Time at which its message began, by the loop's clock.
        until_ns: Time at which it should yield to the program's other tasks.
        left: Most messages that its route may still give it in this turn.
        turns: Most messages that it may still take before it yields even if the clock stands still.
        is_astray: True if its task has entered a cancel scope or a nursery, or left one, since `stand`.
    """

    def __new__(cls, *, quantum_ns: int, quantum_turns: int) -> Self: ...
    def stand(self, tasks: set[Any], nurseries: list[Any], /) -> None:
        """Store the position of the worker's task in trio's tree of cancel scopes while no adapter runs.

        Args:
            tasks: Tasks whose innermost scope is the worker's own, as trio stores them: its task alone.
            nurseries: Nurseries that its task has open, as trio stores them: none.
        """

    @property
    def is_astray(self) -> bool: ...
    def begin_in(self, now: Context, first: Context, /) -> None:
        """Store the context of the worker's task, a copy of `first` in which nothing was set so far."""

    @property
    def has_set(self) -> bool:
        """True if a context variable of the task was set since `begin_in`; takes ten nanoseconds if none was.

        Values are compared by equality, or by identity if they cannot be compared.
        """

    def take_child(self) -> Child | None:
        """Take the child that it carries, unless its message came from the inbound queue or it carries none."""

    def enter(self, now_ns: int, /) -> None:
        """Begin another quantum, after trio has run all other tasks."""

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
    """Ids of messages that have ended, in order, for acknowledgement at their provider.

    Args:
        tell: Called without arguments when the first one after a `take` was noted.
    """

    def __new__(cls, tell: Callable[[], object], /) -> Self: ...
    def note(self, frame: Frame, /) -> None:
        """Note that a message has ended."""

    def take(self) -> list[bytes]:
        """Return the ids noted since the last time."""

    def __len__(self) -> int: ...

@final
class WorkerPool:
    """The running worker of a loop, and those that can continue while it waits.

    Args:
        ready: Routes with work.
        parked: Workers that wait for work.
        workers: All workers.
        most: Most workers.
        wake: Wakes another worker to check the ready list.

    Attributes:
        active: The running worker, which will check the ready list before it stops.
    """

    def __new__(
        cls, *, ready: Sized, parked: list[Any], workers: list[Worker], most: int, wake: Callable[[], None]
    ) -> Self: ...
    active: Worker | None
    def leave(self) -> None:
        """Note that the running worker may have to wait; wake another one if there is work."""

    def leave_out(self, waited_ns: int, /) -> None:
        """Leave this time out of the attempt of the running worker, whose message waited for a permit of its stage."""

@final
class Notifier:
    """Lets workers check one route; called when it may have become runnable.

    Args:
        pool: Workers of the loop.
        route: The route, which goes into the ready list.
        inbound: The route's; it need not tell of frames while the route is listed.
        drivers: Tasks that wait for room, woken by `wake_all`.

    Attributes:
        listed: True if the route is in the ready list.
    """

    def __new__(cls, *, pool: WorkerPool, route: Any, inbound: Channel, drivers: Sized) -> Self: ...
    def __call__(self, *args: Never, **kwargs: Never) -> None:
        """Wake a worker unless one runs, list the route, and let the drivers check again; takes no arguments."""

    def attend(self) -> None:
        """Put the route at the tail of the ready list, unless it is listed."""
    listed: bool

LINEAGE_HOLDERS: Final[tuple[str, ...]]
"""Values of `Holder` that a message may have waited for, by their codes; the first one is empty."""

LINEAGE_OUTCOMES: Final[tuple[str, ...]]
"""Values of `Outcome`, by their numbers."""

LINEAGE_STATUSES: Final[tuple[str, ...]]
"""Values of `StageStatus`, by their numbers."""

@final
class LineageLog:
    """Rows of what happened to the messages of one execution, until a writer takes them.

    Appending waits for nothing: a row that does not fit is counted and dropped.

    Args:
        execution_id: The execution.
        routes: For each route its id, its stages (name, and parts of the condition or None) and its outbounds' names.
        now: Clock of the loop, in nanoseconds.
        sample_rate: Share of root messages whose families are followed, 0 to 1; a function of the id alone.
        hashes: True to hash payloads.
        shows_values: True to show what a message had where a stage's condition did not hold.
        secrets: Texts that are never shown, each with what is shown instead.
        most_bytes: Most bytes of rows, those that a writer has taken included.
        tell: Called with False when a row comes after all were taken, and with True when half of that is exceeded.
    """

    def __new__(
        cls,
        execution_id: str,
        routes: Sequence[tuple[str, Sequence[tuple[str, Any]], Sequence[str]]],
        *,
        now: Callable[[], int],
        sample_rate: float,
        hashes: bool,
        shows_values: bool,
        secrets: Sequence[tuple[str, str]],
        most_bytes: int,
        tell: Callable[[bool], object],
    ) -> Self: ...
    def take(self, most: int, wall_offset_ns: int, /) -> LineageBatch | None:
        """Take the oldest rows, by chunks of 1,024, until there are `most` or more; None if there are none.

        Args:
            most: Number of rows that is enough.
            wall_offset_ns: Wall time minus the loop's time.
        """

    @property
    def recorded(self) -> int:
        """Number of rows that were taken up."""

    @property
    def lost(self) -> int:
        """Number of rows that did not fit."""

    def __len__(self) -> int: ...

@final
class LineageRoute:
    """The log as one route appends to it.

    Args:
        log: The log.
        route: Place of the route in the log's `routes`.
        places: For each of the carrier's stages its place in that route's stages, and True if it is a step beside that
        one, of which only failures are recorded.
    """

    def __new__(cls, log: LineageLog, route: int, places: Sequence[tuple[int, bool]], /) -> Self: ...
    def follows(self, frame: Frame, /) -> bool:
        """True if the message is recorded."""

    def visited(self, context: MessageContext, status: int, detail: str | None = None, /) -> None:
        """Record the message's visit to its stage; past the last stage, nothing.

        Args:
            context: The message at the stage.
            status: Place of the visit's state in `LINEAGE_STATUSES`.
            detail: JSON.
        """

    def ended(self, frame: Frame, outcome: int, emitted: int, detail: str | None = None, /) -> None:
        """Record the end of the message.

        Args:
            frame: The message.
            outcome: Place of the outcome in `LINEAGE_OUTCOMES`.
            emitted: Number of messages that it became.
            detail: JSON.
        """

@final
class LineageBatch:
    """Rows that a writer has taken from a log. Each is freed once it is packed."""

    def pack(self, most_rows: int, most_bytes: int, /) -> bytes | None:
        """Return the next rows as msgpack: a list of entries and a list of outcomes, each a list of its fields.

        None after the last ones. The interpreter's lock is free meanwhile.

        Args:
            most_rows: Most rows.
            most_bytes: Bytes of payloads that are read for hashes and reasons; no row follows the one that exceeds it.
        """

    def pack_in_order(self, most_rows: int, most_bytes: int, /) -> bytes | None:
        """Return the next rows as `pack` does, but as one list, in the order in which they were appended.

        A row with sixteen fields is an entry, one with ten an outcome.
        """

    def __len__(self) -> int:
        """Return the number of its rows, the packed ones included."""

@final
class LoopWatch:
    """Notices code of stages that holds the event loop: steps of coroutines and iterators that take too long.

    Args:
        now: Clock, in nanoseconds; of the machine's own the time of the last tick is read, some milliseconds late.
        limit_ns: Shortest time that is noted.
        note: Called with the stage, the name of the call (`process`, `EMITTED`, or that of a `WatchedCall`) and the time
        in nanoseconds, after the step. Exceptions are reported as unraisable.
    """

    def __new__(cls, *, now: Callable[[], int], limit_ns: int, note: Callable[[Any, str, int], object]) -> Self: ...

@final
class WatchedCall:
    """Awaitable that awaits another one of a stage, and has each of its steps looked at.

    Args:
        awaitable: Awaited once.
        watch: Notices long steps.
        stage: Stage that the call belongs to.
        call: Name of the call.
    """

    def __new__(cls, awaitable: Awaitable[Any], watch: LoopWatch, stage: Any, call: str, /) -> Self: ...
    def __await__(self) -> Generator[Any, Any, Any]: ...
    def __next__(self) -> Any: ...
    def send(self, value: Any, /) -> Any: ...
    def throw(self, *error: Any) -> Any: ...
    def close(self) -> None: ...
    @property
    def cr_frame(self) -> FrameType | None: ...
    @property
    def cr_await(self) -> Any: ...

@final
class Suspension:
    """Awaitable that waits for an adapter's coroutine; awaited once for a whole turn.

    Returns the carrier's first step that is not a suspension; raises the adapter's exception.
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
    """Carries the messages of one route until something has to wait or an unusual result was returned.

    `carry`, `begin`, `answer`, `proceed` and `change` return the step at which Python must take over: `STEP_ENDED` (the
    message has ended and is counted; for `carry`, the turn is over), `STEP_SUSPENDED` (the adapter's coroutine
    `worker.pending` waits for `worker.value`), `STEP_AWAITABLE` (the adapter returned `worker.pending`, which is no
    coroutine), `STEP_RETURNED` (it returned `worker.value`, which Python must check), `STEP_STRANDED` (no outbound
    accepts the message), `STEP_LEFT_OPEN` (it returned while `worker.is_astray`), `STEP_LAST_CHILD` (only `carry`: the
    message has ended and is counted, and was the last child of `worker.value`). They raise exceptions of the adapter,
    of a condition, or of encoding its result. Unless the message has ended, `worker.context` is its state.
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
        children: Children,
        limit: int,
        now: Callable[[], int],
        watch: LoopWatch,
        forward: Any,
        risen: Callable[[], None],
        journal: Journal | None = None,
        limiter: LimitController | None = None,
        lineage: LineageRoute | None = None,
    ) -> Self: ...
    limit: int
    busy: int
    pulling: int
    intake_closed: bool
    circuit_open: bool
    def carry(self, worker: Worker, waited: bool, /) -> int:
        """Take children, then messages from the inbound queue, until `worker.left` is 0, none waits, or a pause or the clock stops it.

        `waited` is True if time has passed since there was room for all of them, so that room is checked before each.
        """

    def waited(self, worker: Worker, pool: WorkerPool, alone: bool, /) -> Suspension:
        """Wait for the worker's coroutine, and continue with its message; unless `alone`, then as `carry` does."""

    def begin(self, worker: Worker, child: Child, /) -> int:
        """Carry a message that begins within the route."""

    def answer(self, worker: Worker, child: Child, result: Any, /) -> int:
        """Carry a message for which the stage that it begins at has already returned."""

    def proceed(self, worker: Worker, result: Any, /) -> int:
        """Continue with the worker's message, whose adapter has returned."""

    def end_attempt(self, worker: Worker, end: int, /) -> None:
        """Give the message's permit of the adaptive limit back, if it has one: its adapters have ended.

        Args:
            worker: Worker of the message.
            end: `ATTEMPT_ANSWERED`, `ATTEMPT_DROPPED` (a failure from overload) or `ATTEMPT_IGNORED` (no sample).

        Raises:
            Exception: An error of the program's own algorithm.
        """

    @property
    def is_permitted(self) -> bool:
        """True if a message may begin by the adaptive limit; always, if there is none."""

    def change(self, worker: Worker, payload: bytes | None, headers: Mapping[str, Any] | None, /) -> int:
        """Continue with the worker's message at its next stage; None leaves payload or headers unchanged."""

    def takable(self, turn: int, /) -> int:
        """Return the number of messages that one turn may take now, at most `turn`.

        0 without work or a permit, or while paused; -1 if only room is missing.
        """

    @property
    def reserved(self) -> int:
        """Number of messages in adapters that will need room; lazily emitting ones ask for room themselves."""

    def room(self, own: int, /) -> int:
        """Return how many more messages every outbound with a consumer can take, besides reserved room but `own`."""
