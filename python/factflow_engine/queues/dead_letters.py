"""Dead letters: messages with a header that records their failure. Only this module writes and reads the header.

A dead-letter queue is an ordinary queue. Kept separate from the providers because any of them can hold such messages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from factflow_engine.frames import Frame
from factflow_engine.native import label_of
from factflow_protocols import LetterStaysError

HEADER: Final = "dead_letter"
"""Key of the header that makes a message a dead letter."""

_LABEL: Final = label_of("dead_letter:requeue")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A dead letter with the fields of its header.

    Attributes:
        frame: The dead letter.
        queue: Queue that the message came from; None if a stage of the route emitted it.
        route: Id of the route that gave up the message.
        stage: Name of the stage that failed last; empty if no stage did.
        error_type: Class of the error.
        error: Text of the error.
        place: File and line of the innermost frame that is the user's, as in `parse_line.py:4`; empty if there is none, or
        if a version of the engine wrote it that did not know.
        attempts: Number of attempts that were spent.
        time_ns: Time at which it was given up, in nanoseconds since the Unix epoch.
        config_hash: Hash of the configuration that ran.
        first: The header of the first failure, as written, if a consumer of a dead-letter queue gave up the letter
        again.
    """

    frame: Frame
    queue: str | None
    route: str
    stage: str
    error_type: str
    error: str
    place: str
    attempts: int
    time_ns: int
    config_hash: str
    first: Mapping[str, Any] | None

    def target(self, to: str | None) -> str:
        """Return the name of the queue to put the message back to.

        Args:
            to: Queue to use instead of the original one.

        Raises:
            LookupError: The message came from no queue, and none is given.
        """
        target = to or self.queue
        if target is None:
            raise LookupError(
                f"message {self.frame.message_id.hex()} was emitted by a stage of route {self.route!r} and came from no "
                "queue; name one whose reader takes such messages (--to)"
            )
        return target

    def restored(self, time_ns: int) -> Frame:
        """Return the message to process again: original payload and headers, attempt 1, published now.

        Args:
            time_ns: The present time, at which deadlines start again: the old deadline has often passed.

        Its id derives from the dead letter's, so that requeueing a letter twice makes the same message twice, and a
        provider that refuses duplicates accepts it once.
        """
        headers = {key: value for key, value in self.frame.headers.items() if key != HEADER}
        return self.frame.child(_LABEL, 0, headers=headers, time_ns=time_ns)


def write_dead_letter(
    frame: Frame,
    *,
    route: str,
    stage: str | None,
    queue: str | None,
    error_type: str,
    error: str,
    place: str,
    time_ns: int,
    config_hash: str,
    renames: bool,
) -> Frame:
    """Return a message as a dead letter for `read_dead_letter`: published now, its payload untouched.

    Args:
        frame: The message, with the number of attempts that were spent.
        route: Id of the route that gives up the message.
        stage: Name of the stage that failed last; None if no stage did.
        queue: Queue that the message came from; None if a stage of the route emitted it.
        error_type: Class of the error.
        error: Its text, without secrets.
        place: Place in the user's code at which it was raised; empty if there is none.
        time_ns: The present time, in nanoseconds since the Unix epoch, from which deadlines of the letter's consumers
        count.
        config_hash: Hash of the configuration that runs.
        renames: True if the queue refuses an id that it has seen. Another route that reads the same topic may have sent
        the same message there, or the letter was there before. The letter then is a child of the message; repeated, it
        has the same id.
    """
    headers = dict(frame.headers)
    header: dict[str, Any] = {
        "route": route,
        "stage": stage,
        "queue": queue,
        "error_type": error_type,
        "error": error,
        "place": place,
        "attempts": frame.attempt,
        "time_ns": time_ns,
        "config_hash": config_hash,
    }
    if (before := headers.get(HEADER)) is not None:
        # A consumer of a dead-letter queue has given it up as well: keep the first failure.
        header["first"] = _first(before)
    headers[HEADER] = header
    if renames:
        return frame.child(label_of(f"{HEADER}\0{route}"), 0, headers=headers, time_ns=time_ns)
    return frame.restamp(attempt=1, time_ns=time_ns, headers=headers)


def _first(before: Any) -> Mapping[str, Any]:
    """Return the first failure that a header keeps; one that the engine did not write is kept as it is."""
    first = before.get("first") if isinstance(before, Mapping) else None
    return first if isinstance(first, Mapping) else _mapped(before)


def _mapped(value: Any) -> Mapping[str, Any]:
    """Return a message's own header as a map; earlier versions wrote it into letters as it was."""
    return value if isinstance(value, Mapping) else {HEADER: value}


def read_dead_letter(queue: str, frame: Frame) -> DeadLetter:
    """Read a dead letter's header.

    Args:
        queue: Queue that holds the message, for the error.
        frame: The message.

    Raises:
        LetterStaysError: It is not a dead letter, or the engine did not write its header.
    """
    header = frame.headers.get(HEADER)
    if not isinstance(header, Mapping):
        raise LetterStaysError(
            queue, f"message {frame.message_id.hex()} is no dead letter: it has no map under the header {HEADER!r}"
        )
    return DeadLetter(
        frame=frame,
        queue=None if header.get("queue", "") is None else _field(queue, frame, header, "queue", str),
        route=_field(queue, frame, header, "route", str),
        stage=_field(queue, frame, header, "stage", str, default=""),
        error_type=_field(queue, frame, header, "error_type", str, default=""),
        error=_field(queue, frame, header, "error", str, default=""),
        place=_field(queue, frame, header, "place", str, default=""),
        attempts=_field(queue, frame, header, "attempts", int, default=0),
        time_ns=_field(queue, frame, header, "time_ns", int, default=0),
        config_hash=_field(queue, frame, header, "config_hash", str, default=""),
        first=None if header.get("first") is None else _mapped(header["first"]),
    )


def _field(queue: str, frame: Frame, header: Mapping[str, Any], name: str, kind: type, default: Any = None) -> Any:
    value = header.get(name, default)
    if value is None and default is not None:
        return default
    if not isinstance(value, kind) or isinstance(value, bool):
        raise LetterStaysError(
            queue,
            f"message {frame.message_id.hex()} is a damaged dead letter: expected its {name!r} to be {kind.__name__}, "
            f"got {type(value).__name__}",
        )
    return value
