"""Exceptions that cross the border between the engine and its plug-ins.

Instructions (`EngineInstruction`) tell the engine what to do with a message and are not failures; everything else
that an adapter raises is a failure of that message. One base class, then one class for each party that must act.
"""

import re
import sys
from typing import Any, Final

_PASSWORD: Final = re.compile(r"(?<=:)[^/?#:@]*(?=@)")
"""The password of a URL, as in `scheme://name:password@host`."""


def _seconds(number: float) -> float:
    """A float, whatever kind of number it was given as, and however large that is."""
    return float(min(number, sys.float_info.max))


def _remade(cls: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    """Return an exception like another one without calling its constructor, which may take something else than `args`."""
    error = cls.__new__(cls, *args)
    vars(error).update(attributes)
    return error


class FactflowError(Exception):
    """Base of every exception that this project defines. It can be copied and pickled, whatever its constructor takes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self), self.args, dict(vars(self)))


class EngineInstruction(FactflowError):  # noqa: N818 - an instruction is not an error, its name should not say so
    """Raised by an adapter to tell the engine what to do with the message; it is never counted as a failure."""


class RetryLater(EngineInstruction):
    """Process this message again after a delay, without spending one of its attempts.

    Each deferral of a message waits at least 1 ms, and at least twice as long as the one before had to, up to a second:
    a delay of 0 does not spin. A message that is deferred more often than `error_handling.max_deferrals` says, or for
    longer than `max_deferral_seconds`, has failed, without another attempt.

    Attributes:
        delay_seconds: How long the message waits, outside any permit. Zero or more.
        reason: Why, for the log and the report.
    """

    def __init__(self, delay_seconds: float, reason: str = "") -> None:
        if not delay_seconds >= 0:
            raise ValueError(f"RetryLater needs a delay of zero or more seconds, got {delay_seconds!r}")
        self.delay_seconds = _seconds(delay_seconds)
        self.reason = reason
        super().__init__(f"retry in {delay_seconds} s" + (f": {reason}" if reason else ""))


class Reject(EngineInstruction):
    """This message can never succeed: do not try it again.

    It goes to the dead-letter queue if the route has one, else it ends `failed`.

    Attributes:
        reason: Why, in words for the operator who reads the report.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class CircuitOpenError(EngineInstruction):
    """A circuit breaker refused a call: what it protects is failing, and this message did not reach it.

    The message waits and is processed again, without spending one of its attempts. Raised by an adapter for a breaker of
    its own, it is a deferral, bounded as `RetryLater` is; a stage's `circuit_breaker` is not: its messages wait until it
    permits calls, or until their deadline.

    Attributes:
        name: What the breaker protects.
        retry_after_seconds: When to ask again; None if only an operator can change the answer.
    """

    def __init__(self, name: str, retry_after_seconds: float | None) -> None:
        self.name = name
        self.retry_after_seconds = None if retry_after_seconds is None else _seconds(retry_after_seconds)
        when = "until somebody moves it" if retry_after_seconds is None else f"for another {retry_after_seconds:g} s"
        super().__init__(f"circuit {name!r} refuses calls {when}")


class QueueError(FactflowError):
    """A queue provider could not do what was asked; the message that was being published is not stored.

    Attributes:
        queue: The queue's name as the configuration has it.
    """

    def __init__(self, queue: str, problem: str) -> None:
        self.queue = queue
        super().__init__(f"queue {queue!r}: {problem}")


class QueueFullError(QueueError):
    """A `*_nowait` publish found no room; `await publish(...)` waits for it instead."""


class QueueClosedError(QueueError):
    """You (or your owner) closed this queue or execution before publishing to it."""


class QueueUrlError(FactflowError, ValueError):
    """Whoever wrote the URL of a queue provider must change it.

    Attributes:
        url: The URL as it was written; the text shows it without a password.
    """

    def __init__(self, url: str, problem: str) -> None:
        self.url = url
        super().__init__(f"queue URL {_PASSWORD.sub('***', url)!r}: {problem}")


class StorageError(FactflowError):
    """A storage provider could not do what was asked.

    Attributes:
        key: The object's key.
    """

    def __init__(self, key: str, problem: str) -> None:
        self.key = key
        super().__init__(f"object {key!r}: {problem}")


class StorageNotFoundError(StorageError):
    """No object is stored under this key."""

    def __init__(self, key: str) -> None:
        super().__init__(key, "does not exist")
