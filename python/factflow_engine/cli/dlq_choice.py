"""Choice of the dead letters that a command changes: by id, by a selection, or all; previewed before anybody is asked.

Kept separate from the commands because requeueing and purging choose alike.
"""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Final

import click
import trio
from rich.text import Text

from factflow_engine.cli.confirmation import confirmed
from factflow_engine.cli.console import messages
from factflow_engine.cli.dead_letters import Census, Reader
from factflow_engine.cli.dlq_list import summary_lines
from factflow_engine.cli.durable_queue import named, with_queue
from factflow_engine.cli.failure_groups import MOST_SHOWN, FailureGroup
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.selection import Selection, selection_options
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean, plural
from factflow_engine.conditions import Condition
from factflow_engine.runtime.report import FailureRecord
from factflow_protocols import MessageState, QueueAdministration, StoredName

SECONDS: Final = 5.0
"""Time between two lines about a long operation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Messages that the operator asked for: by id, or by a rule that selects them.

    Attributes:
        message_ids: Beginnings of ids; empty to use the selection.
        selection: Rule that selects dead letters.
        yes: True not to ask.
    """

    message_ids: tuple[str, ...]
    selection: Selection
    yes: bool


def choice_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the argument `MESSAGE_ID`, the options that choose without ids, and `--yes`; give the command `asked`.

    Raises:
        InvalidInputError: Messages are chosen in more ways than one, or in none.
    """

    @wraps(command)
    def choosing(
        *arguments: Any,
        message_ids: tuple[str, ...],
        everything: bool,
        error_types: tuple[str, ...],
        condition: Condition | None,
        since: int | None,
        limit: int | None,
        yes: bool,
        **others: Any,
    ) -> int:
        selection = Selection(error_types=frozenset(error_types), condition=condition, since_ns=since, limit=limit)
        if [bool(message_ids), everything, selection != Selection()].count(True) != 1:
            raise InvalidInputError(
                "name the messages, or write --all, or select some with --error-type, --where, --since and --limit; "
                "only one of the three"
            )
        return command(*arguments, asked=Asked(message_ids=message_ids, selection=selection, yes=yes), **others)

    given = click.option("--yes", is_flag=True, help="Do not ask.")(choosing)
    given = click.option("--limit", type=click.IntRange(min=1), help="So many of them at most, the newest.")(given)
    given = selection_options(given)
    given = click.option("--all", "everything", is_flag=True, help="All dead letters that no consumer has.")(given)
    return click.argument("message_ids", nargs=-1, metavar="[MESSAGE_ID]...")(given)


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


def choose(url: str, queue: str, asked: Asked, *, others: bool) -> Choice:
    """Return the messages that are named or selected, and say which selected classes of errors no letter has.

    Args:
        url: URL of the store.
        queue: The dead-letter queue.
        asked: Messages that the operator asked for.
        others: True to choose messages that are no dead letters, too, if all are chosen.

    Raises:
        InvalidInputError: An id is malformed, or names no message, or several.
    """

    async def found(queues: QueueAdministration) -> Choice:
        return await _chosen(queues, queue, asked.message_ids, asked.selection, others=others)

    choice = with_queue(url, found)
    choice.tell_unknown_types()
    return choice


async def _chosen(
    queues: QueueAdministration, queue: str, message_ids: Sequence[str], selection: Selection, *, others: bool
) -> Choice:
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
