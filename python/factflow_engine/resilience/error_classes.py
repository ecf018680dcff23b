"""Classification of exceptions for a circuit breaker.

Kept separate because it is the only decision of a breaker about Python: class names, groups, cancellation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from factflow_engine.error_texts import class_names, is_a, is_group, leaves
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
        if not is_group(error):
            verdict = self._verdict(error)
            return verdict, _asked_ns(error) if verdict is Verdict.FAILURE else None
        if not self.ignore.isdisjoint(class_names(error)):
            return Verdict.IGNORED, None
        if is_a(error, Exception) and not self.record.isdisjoint(class_names(error, BaseExceptionGroup)):
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
        every = (error, *leaves(error)) if is_group(error) else (error,)
        return any(not self.ignore.isdisjoint(class_names(one)) for one in every)

    def _verdict(self, error: BaseException) -> Verdict:
        if not isinstance(error, Exception):
            return Verdict.RELEASE
        names = class_names(error)
        if not self.ignore.isdisjoint(names) or (self.ignore_if is not None and self.ignore_if(error)):
            return Verdict.IGNORED
        if instruction := class_names(error, EngineInstruction):
            return Verdict.IGNORED if self.record.isdisjoint(instruction) else Verdict.FAILURE
        if self.record_if is not None and self.record_if(error):
            return Verdict.FAILURE
        counts = not self.record.isdisjoint(names) or (not self.record and self.record_if is None)
        return Verdict.FAILURE if counts else Verdict.SUCCESS


def _asked_ns(error: BaseException) -> int | None:
    if is_a(error, RetryLater):
        return _attribute_ns(error, "delay_seconds")
    asked_ns = _attribute_ns(error, "retry_after_seconds")
    return _attribute_ns(error, "retry_after") if asked_ns is None else asked_ns


def _attribute_ns(error: BaseException, name: str) -> int | None:
    try:
        return _delay_ns(getattr(error, name, None))
    except BaseException:  # noqa: BLE001 - a property that fails (the response has no such header) has asked for nothing
        return None


def _delay_ns(delay: object) -> int | None:
    seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return None
    if not seconds >= 0:  # NaN is neither
        return None
    return round(min(seconds, _MAX_SECONDS) * 1e9)
