"""Choice of the dead letters that a command changes: by id, by a selection, or all; previewed before anybody is asked.

Kept separate from the commands because requeueing and purging choose alike.
"""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import click
import trio
from rich.text import Text

from factflow_engine.cli.confirmation import confirmed
from factflow_engine.cli.console import messages
from factflow_engine.cli.dead_letters import Census, Reader
from factflow_engine.cli.dlq_list import summary_lines
from factflow_engine.cli.durable_queue import named
from factflow_engine.cli.failure_groups import MOST_SHOWN, FailureGroup
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.selection import Selection, selection_options
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean, plural
from factflow_engine.runtime.report import FailureRecord
from factflow_protocols import MessageState, QueueAdministration, StoredName

F = TypeVar("F", bound=Callable[..., Any])

SECONDS: Final = 5.0
"""Time between two lines about a long operation."""


def choice_options(command: F) -> F:
    """Add the argument `MESSAGE_ID` and the options that choose without ids, and `--yes`."""
    command = click.option("--yes", is_flag=True, help="Do not ask.")(command)
    command = click.option("--limit", type=click.IntRange(min=1), help="So many of them at most, the newest.")(command)
    command = selection_options(command)
    command = click.option("--all", "everything", is_flag=True, help="All dead letters that no consumer has.")(command)
    return click.argument("message_ids", nargs=-1, metavar="[MESSAGE_ID]...")(command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Messages to change.

    Attributes:
        messages: The messages, in the queue's order.
        leased: Number of those that consumers have.
        census: Counts of what was read to choose them; None if they were named.
        groups: The largest groups of the chosen letters.
        is_complete: False if the limit was reached, so that older messages were not read.
    """

    messages: list[StoredName]
    leased: int = 0
    is_complete: bool = True
    census: Census | None = None
    groups: list[FailureGroup[FailureRecord]] = field(default_factory=list)

    def permitted(self, verb: str, queue: str, settings: Settings, *, asker: str) -> bool:
        """Show the choice, ask, and return True if the answer is yes; see `confirmed`."""
        if self.census is not None and not settings.as_json:
            console = messages()
            for line in summary_lines(self._headline(self.census, queue), self.census, self.groups):
                console.print(line, soft_wrap=True)
            if self.leased:
                console.print(Text(f"{self.leased:,} of them are with a consumer, and stay"))
        count = plural(len(self.messages), "dead letter")
        return confirmed(f"{verb} {count} of {clean(queue)}?", settings, asker=asker)

    def _headline(self, census: Census, queue: str) -> str:
        of = f"of {census.letters:,}" if self.is_complete else "the newest"
        return f"{plural(census.selected, 'dead letter')} chosen, {of} in {clean(queue)}"

    def tell_unknown_types(self) -> None:
        """Say which selected classes of errors no letter has."""
        if self.census is not None and self.is_complete and self.census.unknown_types:
            click.echo(f"factflow: {clean(self.census.unknown_types)}", err=True)


def check_choice(message_ids: Sequence[str], selection: Selection, *, everything: bool) -> None:
    """Check that messages are chosen in exactly one way.

    Raises:
        InvalidInputError: They are not.
    """
    if [bool(message_ids), everything, selection != Selection()].count(True) != 1:
        raise InvalidInputError(
            "name the messages, or write --all, or select some with --error-type, --where, --since and --limit; "
            "only one of the three"
        )


async def chosen(
    queues: QueueAdministration, queue: str, message_ids: Sequence[str], selection: Selection, *, others: bool
) -> Choice:
    """Return the messages that are named or selected.

    Args:
        queues: Administration of the store.
        queue: The dead-letter queue.
        message_ids: Beginnings of ids; empty to use the selection.
        selection: Rule that selects dead letters.
        others: True to choose messages that are no dead letters, too, if all are chosen.

    Raises:
        InvalidInputError: An id is malformed, or names no message, or several.
    """
    if message_ids:
        found = {name: None for text in message_ids for name in await named(queues, queue, text)}
        return Choice(messages=sorted(found))
    census = Census(selection)
    names: list[StoredName] = []
    leased = 0
    async with aclosing(census.take(queues, queue)) as letters:
        async for letter in letters:
            names.append(letter.name)
            leased += letter.state is MessageState.LEASED
            if len(names) == selection.limit:
                break
    if others and selection == Selection():
        names += census.others
    reader = Reader(queues, queue)
    return Choice(
        messages=sorted(names),
        leased=leased,
        is_complete=len(names) != selection.limit,
        census=census,
        groups=await reader.largest(census, MOST_SHOWN),
    )


class Steps:
    """Lines on standard error about a long operation, one every few seconds."""

    def __init__(self) -> None:
        self._next = trio.current_time() + SECONDS

    def tell(self, text: str) -> None:
        """Print a line, unless the last one is recent."""
        if trio.current_time() >= self._next:
            self._next = trio.current_time() + SECONDS
            click.echo(f"factflow: {text}", err=True)
