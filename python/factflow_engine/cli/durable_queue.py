"""Access to a durable queue for the commands: the URL, its provider's administration, and async work on that.

Kept separate from the commands so that all of them take the same URLs and say the same of a wrong one.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import click
import trio

from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.interrupts import python_interrupts
from factflow_engine.errors import CodecError, QueueProviderError
from factflow_engine.frames import Frame
from factflow_engine.queues.dead_letters import DeadLetter, read_dead_letter
from factflow_engine.queues.providers import open_administration
from factflow_protocols import QueueAdministration, QueueError, QueueUrlError, StoredMessage

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])

_SHORTEST_ID = 4


def url_argument(command: F) -> F:
    """`URL`, first of the arguments."""
    return click.argument("url")(command)


def with_queue(url: str, work: Callable[[QueueAdministration], Awaitable[T]]) -> T:
    """Do something with what the provider of a URL stores.

    Raises:
        InvalidInputError: The URL is wrong, the provider has no administration, or what it stores, the queue or a message
            is not as it must be.
    """

    async def run() -> T:
        async with open_administration(url) as administration:
            return await work(administration)

    try:
        with python_interrupts():
            return trio.run(run)
    except (QueueUrlError, QueueProviderError, QueueError) as error:
        raise InvalidInputError(str(error)) from error


async def named(administration: QueueAdministration, queue: str, text: str) -> list[int]:
    """Return the sequence numbers of the messages whose id begins so: one, or those that have the same id.

    Raises:
        InvalidInputError: It is no id, or names none or several.
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
    return [each.seq for each in found]


def letter_of(queue: str, stored: StoredMessage) -> DeadLetter:
    """Return the dead letter that is stored.

    Raises:
        QueueError: It is none.
        CodecError: Its frame is damaged.
    """
    return read_dead_letter(queue, Frame.decode(stored.frame))


async def letters_of(queues: QueueAdministration, queue: str) -> AsyncIterator[tuple[StoredMessage, DeadLetter | None]]:
    """Yield the messages of a queue in order, each with the dead letter that it is; None for one that is none, or damaged.

    The commands on many letters choose from these.
    """
    async for stored in queues.browse(queue):
        try:
            letter = letter_of(queue, stored)
        except (QueueError, CodecError):
            letter = None
        yield stored, letter


def letter_document(letter: DeadLetter, stored: StoredMessage) -> dict[str, object]:
    """Return a dead letter for programs, payload and headers excepted."""
    return {
        "message_id": stored.message_id.hex(),
        "correlation_id": letter.frame.correlation_id.hex(),
        "state": stored.state.value,
        "queue": letter.queue,
        "route": letter.route,
        "stage": letter.stage,
        "error_type": letter.error_type,
        "error": letter.error,
        "attempts": letter.attempts,
        "time_ns": letter.time_ns,
        "config_hash": letter.config_hash,
    }
