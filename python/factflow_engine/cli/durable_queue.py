"""Access to a durable queue for the commands: the URL, its provider's administration, and async work on it.

Kept separate from the commands so that all of them accept the same URLs and report the same errors.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import click
import trio

from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.interrupts import python_interrupts
from factflow_engine.errors import QueueProviderError
from factflow_engine.frames import Frame
from factflow_engine.queues.dead_letters import DeadLetter, read_dead_letter
from factflow_engine.queues.providers import open_administration
from factflow_protocols import MessageState, QueueAdministration, QueueError, QueueUrlError, StoredMessage, StoredName

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])

_SHORTEST_ID = 4


def url_argument(command: F) -> F:
    """Add the argument `URL`, first of the arguments."""
    return click.argument("url")(command)


def with_queue(url: str, work: Callable[[QueueAdministration], Awaitable[T]]) -> T:
    """Open the administration of a URL's provider and run `work` with it.

    Raises:
        InvalidInputError: The URL is wrong, the provider has no administration, or its store, the queue or a message is
        invalid.
    """

    async def run() -> T:
        async with open_administration(url) as administration:
            return await work(administration)

    try:
        with python_interrupts():
            return trio.run(run)
    except (QueueUrlError, QueueProviderError, QueueError) as error:
        raise InvalidInputError(str(error)) from error


async def named(administration: QueueAdministration, queue: str, text: str) -> Sequence[StoredName]:
    """Return the messages whose id begins with `text`: one, or several that have the same id.

    Raises:
        InvalidInputError: `text` is no id, or matches no message, or messages with different ids.
    """
    try:
        beginning = bytes.fromhex(text)
    except ValueError:
        beginning = b""
    if not _SHORTEST_ID <= len(beginning) <= 16:
        raise InvalidInputError(
            f"{text!r} is no message id: expected 8 to 32 hexadecimal digits (an even number), as `factflow dlq list` shows"
        )
    found = await administration.find(queue, beginning)
    if not found:
        raise InvalidInputError(f"queue {queue!r} has no message {text}; `factflow dlq list` shows those it has")
    if len({each.message_id for each in found}) > 1:
        raise InvalidInputError(f"{len(found)} messages of queue {queue!r} begin with {text}; write more digits")
    return found


def letter_of(queue: str, stored: StoredMessage) -> DeadLetter:
    """Decode a stored message into its dead letter.

    Raises:
        QueueError: The message is not a dead letter.
        CodecError: Its frame is damaged.
    """
    return read_dead_letter(queue, Frame.decode(stored.frame))


def letter_document(letter: DeadLetter, state: MessageState) -> dict[str, object]:
    """Return the JSON form of a dead letter, without payload and headers."""
    return {
        "message_id": letter.frame.message_id.hex(),
        "correlation_id": letter.frame.correlation_id.hex(),
        "state": state.value,
        "queue": letter.queue,
        "route": letter.route,
        "stage": letter.stage,
        "error_type": letter.error_type,
        "error": letter.error,
        "place": letter.place,
        "attempts": letter.attempts,
        "time_ns": letter.time_ns,
        "config_hash": letter.config_hash,
    }
