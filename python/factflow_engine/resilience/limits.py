"""Adaptive concurrency limits by themselves: algorithms that find out how many calls at a time a dependency takes.

The algorithms are Rust; this module names them, and makes those that a program registers available beside them. Kept
separate from the runtime so that an algorithm can be read, compared and driven by hand.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from factflow_engine.native import LIMIT_ALGORITHMS, ConcurrencyLimit
from factflow_engine.resilience.limit_entry_points import installed_algorithms, load_algorithm

__all__ = [
    "ALGORITHMS",
    "Limit",
    "LimitChange",
    "NativeLimit",
    "OwnLimit",
    "TimedLimit",
    "is_registered",
    "new_limit",
    "register",
    "registered",
]

ALGORITHMS: Final[tuple[str, ...]] = LIMIT_ALGORITHMS
"""Names of the built-in algorithms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChange:
    """A change of a limit.

    Attributes:
        at_ns: Time of the change.
        before: Limit before.
        after: Limit after.
        reason: Reason, in a word or two.
        statistics: Numbers behind the decision, by name.
    """

    at_ns: int
    before: int
    after: int
    reason: str
    statistics: Mapping[str, float]


@runtime_checkable
class Limit(Protocol):
    """Algorithm that takes a sample of each call; what a program's own algorithm must be."""

    @property
    def limit(self) -> int:
        """Calls that may be in flight: 1 at least."""
        ...

    def on_sample(self, *, start_ns: int, rtt_ns: int, in_flight: int, dropped: bool = False) -> None:
        """Learn from a call that has ended.

        Args:
            start_ns: Time at which it started.
            rtt_ns: Its duration.
            in_flight: Calls in flight when it started, itself included.
            dropped: True if it failed from overload: a time-out, a refusal.
        """
        ...


@runtime_checkable
class TimedLimit(Limit, Protocol):
    """Algorithm that also changes its limit by time alone; none of the built-in ones does."""

    @property
    def next_deadline_ns(self) -> int | None:
        """Time at which `advance` has something to do; None if there is nothing to do until the next sample."""
        ...

    def advance(self, now_ns: int) -> None:
        """Do what is due; called at the deadline or later, once. The next deadline must be after `now_ns`."""
        ...


class NativeLimit(ConcurrencyLimit):
    """A built-in algorithm with its state; made by `new_limit`.

    `adaptive` and `arc` count calls themselves and take `on_start(now_ns)` and `on_finish(now_ns, start_ns, outcome)`, all
    others `on_sample`. `adaptive` allows more only after `on_blocked(now_ns)`: a call wanted to start and could not. Times are integer nanoseconds of any clock that does not go back.
    """

    def explain(self) -> LimitChange | None:
        """Return the last change of the limit and its reason; None before the first."""
        change = self.last_change()
        if change is None:
            return None
        at_ns, before, after, reason, statistics = change
        return LimitChange(at_ns=at_ns, before=before, after=after, reason=reason, statistics=statistics)


class OwnLimit:
    """A program's own algorithm with an account of its changes; made by `new_limit`."""

    def __init__(self, name: str, algorithm: Limit) -> None:
        """Prepare.

        Raises:
            ValueError: Its limit is not a whole number of 1 or more.
        """
        self._name = name
        self._algorithm = algorithm
        self._limit = self._asked()
        self._change: LimitChange | None = None
        self._timed = algorithm if isinstance(algorithm, TimedLimit) else None
        self._due_ns = self._asked_deadline()

    @property
    def limit(self) -> int:
        """Calls that may be in flight."""
        return self._limit

    def on_sample(self, *, start_ns: int, rtt_ns: int, in_flight: int, dropped: bool = False) -> None:
        """Learn from a call that has ended; see `Limit.on_sample`. Errors are the algorithm's.

        Raises:
            ValueError: The new limit is not a whole number of 1 or more; the one before stays.
        """
        self._algorithm.on_sample(start_ns=start_ns, rtt_ns=rtt_ns, in_flight=in_flight, dropped=dropped)
        self._read(start_ns + rtt_ns, {"rtt_ns": float(rtt_ns), "in_flight": float(in_flight)})

    @property
    def next_deadline_ns(self) -> int | None:
        """Time at which `advance` has something to do; None if the algorithm has no deadline."""
        return self._due_ns

    def advance(self, now_ns: int) -> None:
        """Do what is due by time alone; nothing before `next_deadline_ns`. Errors are the algorithm's.

        Raises:
            ValueError: The new limit is not a whole number of 1 or more, or the next deadline is not one of 0 or more.
        """
        if self._timed is not None and self._due_ns is not None and now_ns >= self._due_ns:
            self._due_ns = None
            self._timed.advance(now_ns)
            self._read(now_ns, {})
            due_ns = self.next_deadline_ns
            if due_ns is not None and due_ns <= now_ns:
                self._due_ns = None  # it would be asked for ever
                raise ValueError(
                    f"limit algorithm {self._name!r}: expected a next_deadline_ns after {now_ns}, at which advance() was "
                    f"called, got {due_ns}"
                )

    def _read(self, now_ns: int, statistics: Mapping[str, float]) -> None:
        before, after = self._limit, self._asked()
        self._due_ns = self._asked_deadline()
        if before != after:
            self._limit = after
            self._change = LimitChange(
                at_ns=now_ns, before=before, after=after, reason=self._name, statistics=statistics
            )

    def explain(self) -> LimitChange | None:
        """Return the last change of the limit; its reason is the algorithm's name. None before the first."""
        return self._change

    def _asked(self) -> int:
        limit: object = self._algorithm.limit
        if not isinstance(limit, int) or limit < 1:
            raise ValueError(
                f"limit algorithm {self._name!r}: expected a limit that is an int of 1 or more, got {limit!r}"
            )
        return limit

    def _asked_deadline(self) -> int | None:
        due_ns: object = None if self._timed is None else self._timed.next_deadline_ns
        if due_ns is not None and not (isinstance(due_ns, int) and 0 <= due_ns < 2**63):
            raise ValueError(
                f"limit algorithm {self._name!r}: expected a next_deadline_ns that is an int of 0 or more, or None, "
                f"got {due_ns!r}"
            )
        return due_ns


_REGISTERED: Final[dict[str, Callable[..., Limit]]] = {}


def register(name: str, factory: Callable[..., Limit]) -> None:
    """Make a program's own algorithm available by name.

    Args:
        name: Its name; not a built-in algorithm's.
        factory: Called with the parameters as keywords; returns the algorithm.

    Raises:
        ValueError: The name is a built-in algorithm's, or another factory's, or empty.
        TypeError: The factory cannot be called.

    Example:
        >>> class Steady:
        ...     limit = 3
        ...     def on_sample(self, *, start_ns, rtt_ns, in_flight, dropped=False): ...
        >>> register("steady", Steady)
        >>> new_limit("steady").limit
        3
    """
    if not name:
        raise ValueError("limit algorithm: expected a name, got ''")
    if not callable(factory):
        raise TypeError(f"limit algorithm {name!r}: expected a class, or a function that makes one, got {factory!r}")
    if name in ALGORITHMS or _REGISTERED.get(name, factory) is not factory:
        kind = "a built-in algorithm" if name in ALGORITHMS else "another one that was registered"
        raise ValueError(f"limit algorithm {name!r} is {kind}; give yours another name")
    _REGISTERED[name] = factory


def is_registered(name: str) -> bool:
    """True if the program has registered an algorithm of this name."""
    return name in _REGISTERED


def registered() -> tuple[str, ...]:
    """Return the names of all algorithms: the built-in ones, the program's own, then those of the installed packages.

    A package has one by an entry point of the group `factflow.limits`; it is imported when it is first made.
    """
    return tuple(dict.fromkeys((*ALGORITHMS, *_REGISTERED, *installed_algorithms())))


def new_limit(
    name: str,
    *,
    seed: int = 0,
    probe_jitter: Sequence[float] | Callable[[], float] | None = None,
    **parameters: Any,
) -> NativeLimit | OwnLimit:
    """Make a built-in algorithm, or one that was registered or installed.

    Args:
        name: Name of the algorithm.
        seed: Seed of the algorithm's randomness, if it has any and `probe_jitter` is not given.
        probe_jitter: Numbers from 0 to 1 that are taken in turn, again and again, or a function that returns one, in
            place of drawn ones: `vegas`, `gradient` and `brpc` probe at random times.
        parameters: The algorithm's parameters; `window={...}` puts windows of samples in front of it. Where `min` is above
            `max`, `max` wins, as in the originals; `adaptive` refuses such bounds, and so does a controller.

    Raises:
        ValueError: There is no such algorithm, or a parameter is unknown or outside its bounds; the text says which.
        TypeError: A parameter is not a number.

    Example:
        >>> limit = new_limit("aimd", initial=30, min=10)
        >>> limit.on_sample(start_ns=0, rtt_ns=2_000_000, in_flight=30, dropped=True)
        >>> limit.limit, limit.explain().reason
        (27, 'dropped')
    """
    own = _REGISTERED.get(name)
    if own is None and name not in ALGORITHMS:
        own = load_algorithm(name)
    if own is not None:
        return OwnLimit(name, own(**parameters))
    given = {key: dict(value) if isinstance(value, Mapping) else value for key, value in parameters.items()}
    jitter = probe_jitter if probe_jitter is None or callable(probe_jitter) else list(probe_jitter)
    try:
        return NativeLimit(name, given, jitter, seed)
    except ValueError as error:
        if name in ALGORITHMS:
            raise
        own_names = registered()[len(ALGORITHMS) :]
        if not own_names:
            raise
        raise ValueError(f"{error}; registered are {', '.join(own_names)}") from None
