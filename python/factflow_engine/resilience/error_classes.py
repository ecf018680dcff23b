"""Classification of exceptions for a circuit breaker.

Kept separate because it is the only decision of a breaker about Python: class names, groups, cancellation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from factflow_engine.errors import leaves
from factflow_protocols import EngineInstruction, RetryLater

_MAX_SECONDS: Final = 1e9


Predicate = Callable[[Exception], bool]


class Verdict(StrEnum):
    """Verdict on one ended call."""

    FAILURE = "failure"
    SUCCESS = "success"
    IGNORED = "ignored"
    """Counts as nothing."""
    RELEASE = "release"
    """Did not end by itself: cancelled or interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorClasses:
    """Rules for counting exceptions, by names of their classes; a name includes subclasses.

    In this order: cancellation and interrupts record nothing. An ignored class counts as nothing. An instruction to the
    engine (`RetryLater`, `Reject`, a refusal of another breaker) counts as nothing unless its class is named. A
    recorded class, by default every one, is a failure. Anything else is a success: the dependency answered.

    A group counts by its contents: as a failure if one of its exceptions does. It counts itself if its class is named.

    Attributes:
        record: Names that count as failures; empty: all.
        ignore: Names that count as nothing; takes precedence.
        record_if: Predicate: True if an exception is a failure, although none of its names is in `record`.
        ignore_if: Predicate: True if an exception counts as nothing; takes precedence.
    """

    record: frozenset[str] = frozenset()
    ignore: frozenset[str] = frozenset()
    record_if: Predicate | None = None
    ignore_if: Predicate | None = None

    def judge(self, error: BaseException) -> tuple[Verdict, int | None]:
        """Return the verdict on a call that raised, and the pause in nanoseconds that the dependency asked for.

        The pause is the attribute `retry_after_seconds` of a failure, or `retry_after` as in HTTP clients, or the delay
        of a `RetryLater`, if it is a number of seconds, zero or more, or a `timedelta`; of a group, the longest.
        """
        if not isinstance(error, BaseExceptionGroup):
            verdict = self._verdict(error)
            return verdict, _asked_ns(error) if verdict is Verdict.FAILURE else None
        if not self.ignore.isdisjoint(_names(type(error))):
            return Verdict.IGNORED, None
        if isinstance(error, Exception) and not self.record.isdisjoint(_group_names(type(error))):
            return Verdict.FAILURE, max(
                (asked for leaf in leaves(error) if (asked := _asked_ns(leaf)) is not None), default=None
            )
        verdicts: set[Verdict] = set()
        asked_ns: list[int] = []
        for leaf in leaves(error):
            verdict, asked = self.judge(leaf)
            verdicts.add(verdict)
            if asked is not None:
                asked_ns.append(asked)
        # In the order of the enumeration: a failure outweighs the rest, a cancellation beside anything records nothing.
        return next(verdict for verdict in Verdict if verdict in verdicts), max(asked_ns, default=None)

    def gives_up(self, error: BaseException) -> bool:
        """True if the exception, or one in the group that it is, is ignored."""
        every = (error, *leaves(error)) if isinstance(error, BaseExceptionGroup) else (error,)
        return any(not self.ignore.isdisjoint(_names(type(one))) for one in every)

    def _verdict(self, error: BaseException) -> Verdict:
        if not isinstance(error, Exception):
            return Verdict.RELEASE
        names = _names(type(error))
        if not self.ignore.isdisjoint(names) or (self.ignore_if is not None and self.ignore_if(error)):
            return Verdict.IGNORED
        if isinstance(error, EngineInstruction):
            named = any(
                cls.__name__ in self.record for cls in type(error).__mro__ if issubclass(cls, EngineInstruction)
            )
            return Verdict.FAILURE if named else Verdict.IGNORED
        if self.record_if is not None and self.record_if(error):
            return Verdict.FAILURE
        counts = not self.record.isdisjoint(names) or (not self.record and self.record_if is None)
        return Verdict.FAILURE if counts else Verdict.SUCCESS


def _names(error_class: type) -> tuple[str, ...]:
    return tuple(cls.__name__ for cls in error_class.__mro__)


def _group_names(error_class: type) -> tuple[str, ...]:
    """Return the names of a group's class without `Exception`, which is meant for single exceptions."""
    return tuple(cls.__name__ for cls in error_class.__mro__ if issubclass(cls, BaseExceptionGroup))


def _asked_ns(error: BaseException) -> int | None:
    if isinstance(error, RetryLater):
        return _delay_ns(error.delay_seconds)
    asked_ns = _delay_ns(_attribute(error, "retry_after_seconds"))
    return _delay_ns(_attribute(error, "retry_after")) if asked_ns is None else asked_ns


def _attribute(error: BaseException, name: str) -> object:
    try:
        return getattr(error, name, None)
    except Exception:  # noqa: BLE001 - a property that fails (the response has no such header) has asked for nothing
        return None


def _delay_ns(delay: object) -> int | None:
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    if not seconds >= 0:  # NaN is neither
        return None
    return round(min(seconds, _MAX_SECONDS) * 1e9)
