"""Exceptions that cross the border between the engine and its plug-ins.

Instructions (`EngineInstruction`) tell the engine how to treat a message and are not failures; any other exception of
an adapter is a failure of that message. One base class, then one class for each party that must act.
"""

import re
import sys
from typing import Any, Final

_PASSWORD_OPTION: Final = re.compile(r"(?<=password=)[^&]*")


def without_password(url: str) -> str:
    """Return a URL with `***` for its password: in `scheme://name:password@host`, or in an option `password`.

    Whatever characters the password has: all from the first colon behind `//` to the last `@` is left out.
    """
    head, at, tail = url.rpartition("@")
    if at:
        end = head.find("//") + 2 if "//" in head else 0
        name, colon, _ = head[end:].partition(":")
        url = f"{head[:end]}{name}{':***' if colon else ''}@{tail}"
    return _PASSWORD_OPTION.sub("***", url)


def _seconds(number: float) -> float:
    """Return the number as a float, whatever its type and size."""
    return float(min(number, sys.float_info.max))


def _remade(cls: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    """Return an exception without calling its constructor, whose parameters may differ from `args`."""
    error = cls.__new__(cls, *args)
    error.args = args  # an OSError with a constructor of its own has none yet
    vars(error).update(attributes)
    return error


class FactflowError(Exception):
    """Base of every exception of this project. It can be copied and pickled, whatever its constructor takes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self), self.args, dict(vars(self)))


class EngineInstruction(FactflowError):  # noqa: N818 - an instruction is not an error, its name should not say so
    """Instruction of an adapter to the engine about a message; never counted as a failure."""


class RetryLater(EngineInstruction):
    """Instruction to process this message again after a delay, without spending an attempt.

    Each deferral of a message waits at least 1 ms, a minimum that doubles with every further one, up to a second: a
    delay of 0 does not spin. A message that is deferred more often than `error_handling.max_deferrals`, or for longer
    than `max_deferral_seconds`, fails, without another attempt.

    Attributes:
        delay_seconds: Delay of the message, during which it holds no permit. Zero or more.
        reason: Reason, for the log and the report.
    """

    def __init__(self, delay_seconds: float, reason: str = "") -> None:
        if not delay_seconds >= 0:
            raise ValueError(f"RetryLater needs a delay of zero or more seconds, got {delay_seconds!r}")
        self.delay_seconds = _seconds(delay_seconds)
        self.reason = reason
        super().__init__(f"retry in {delay_seconds} s" + (f": {reason}" if reason else ""))


class Reject(EngineInstruction):
    """Instruction not to retry this message, which can never succeed.

    The message goes to the dead-letter queue if the route has one, else it ends `failed`.

    Attributes:
        reason: Reason, in words for the operator who reads the report.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class CircuitOpenError(EngineInstruction):
    """Call refused by a circuit breaker: its dependency is failing, and the call was not made.

    The message waits and is processed again, without spending an attempt. Raised by an adapter for its own breaker, it
    is a deferral, bounded as `RetryLater` is; for a stage's `circuit_breaker` it is not: the messages wait until the
    breaker permits calls, or until their deadline.

    Attributes:
        name: Name of the breaker's dependency.
        retry_after_seconds: Time until the next possible call; None if only an operator can end the refusal.
    """

    def __init__(self, name: str, retry_after_seconds: float | None) -> None:
        self.name = name
        self.retry_after_seconds = None if retry_after_seconds is None else _seconds(retry_after_seconds)
        when = "until somebody moves it" if retry_after_seconds is None else f"for another {retry_after_seconds:g} s"
        super().__init__(f"circuit {name!r} refuses calls {when}")


class Overloaded(FactflowError):  # noqa: N818 - a state of the dependency, as Reject and RetryLater name actions
    """Failure of a call because its dependency has too much to do: a time-out, HTTP 429 or 503, a full pool.

    A failure like any other: it spends an attempt, a circuit breaker counts it, and the message is tried again if its
    route retries. Besides, a concurrency limit (`backpressure`) takes it as a sign of overload, where it takes other
    failures for answers; and the next attempt begins `retry_after` seconds later at the earliest. The engine's own
    time-outs of stages and routes are `Overloaded`, too.

    Attributes:
        retry_after: Least wait before another attempt, in seconds, that the dependency asked for; None if it did not.
        reason: Reason, for the log and the report.
    """

    retry_after: float | None = None
    reason: str = ""

    def __init__(self, retry_after: float | None = None, reason: str = "") -> None:
        if retry_after is not None and not retry_after >= 0:
            raise ValueError(f"Overloaded needs a wait of zero or more seconds, or none, got {retry_after!r}")
        self.retry_after = None if retry_after is None else _seconds(retry_after)
        self.reason = reason
        wait = "" if retry_after is None else f", and asks for a wait of {retry_after} s"
        super().__init__(f"the dependency is overloaded{wait}" + (f": {reason}" if reason else ""))


class QueueError(FactflowError):
    """Failure of a queue provider; a message that was being published is not stored.

    Attributes:
        queue: The queue's name as the configuration has it.
    """

    def __init__(self, queue: str, problem: str) -> None:
        self.queue = queue
        super().__init__(f"queue {queue!r}: {problem}")


class QueueFullError(QueueError):
    """Full queue on a `*_nowait` publish; `await publish(...)` waits for room instead."""


class QueueClosedError(QueueError):
    """Publishing to a queue or execution that its owner has closed."""


class QueueUrlError(FactflowError, ValueError):
    """Whoever wrote the URL of a queue provider must change it.

    Attributes:
        url: The URL as written; the text shows it without its password.
    """

    def __init__(self, url: str, problem: str) -> None:
        self.url = url
        super().__init__(f"queue URL {without_password(url)!r}: {problem}")


class StorageError(FactflowError):
    """Failure of a storage provider.

    Attributes:
        key: The object's key.
    """

    def __init__(self, key: str, problem: str) -> None:
        self.key = key
        super().__init__(f"object {key!r}: {problem}")


class StorageNotFoundError(StorageError):
    """Missing object."""

    def __init__(self, key: str) -> None:
        super().__init__(key, "does not exist")


class StorageKeyError(StorageError, ValueError):
    """Whoever made the key must change it: no object can have it."""


class StorageCorruptError(StorageError):
    """Object whose bytes or metadata are not what was written."""


class StorageUrlError(FactflowError, ValueError):
    """Whoever wrote the URL of an object store must change it.

    Attributes:
        url: The URL as written; the text shows it without its password.
    """

    def __init__(self, url: str, problem: str) -> None:
        self.url = url
        super().__init__(f"storage URL {without_password(url)!r}: {problem}")


class StorageNotBoundError(FactflowError, RuntimeError):
    """Use of `StorageBackendAdapter.storage` before there is one: the adapter's author must act.

    Attributes:
        adapter: Name of the adapter's class.
    """

    def __init__(self, adapter: str) -> None:
        self.adapter = adapter
        super().__init__(
            f"{adapter} has no object store yet: the engine gives it one after construction; use self.storage in open() "
            "or process(), and in a test call bind_storage(store) first"
        )


class LineageError(FactflowError):
    """Failure of a lineage store."""


class LineageUrlError(LineageError, ValueError):
    """Whoever wrote the URL of a lineage store must change it.

    Attributes:
        url: The URL as written; the text shows it without its password.
    """

    def __init__(self, url: str, problem: str) -> None:
        self.url = url
        super().__init__(f"lineage URL {without_password(url)!r}: {problem}")
