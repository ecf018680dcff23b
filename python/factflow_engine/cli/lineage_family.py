"""`factflow lineage chain` and `children`: the relatives of a message."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click

from factflow_engine.cli.console import output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.lineage_list import STYLES
from factflow_engine.cli.lineage_store import error_of, message_of, reason_of, store_options, with_lineage
from factflow_engine.cli.options import debug_option, table_output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.tables import Cell, Column, Kind, Table, names
from factflow_protocols import LineageEntry, LineageReader, MessageLineage, OutcomeEntry

MOST_ANCESTORS: Final = 1_000


class Passage(NamedTuple):
    """A message's way through one route of one execution.

    Attributes:
        message_id: The message.
        parent_id: Its parent; None for a root.
        execution_id: The execution.
        route: The route.
        outcome: Its end; None if none is recorded.
        visits: Its visits, in order.
    """

    message_id: bytes
    parent_id: bytes | None
    execution_id: str
    route: str
    outcome: OutcomeEntry | None
    visits: Sequence[LineageEntry]

    @property
    def state(self) -> str:
        """The outcome, or else the state of the last visit."""
        if self.outcome is not None:
            return self.outcome.outcome
        return f"{self.visits[-1].status} at {self.visits[-1].stage}" if self.visits else "unknown"

    @property
    def said(self) -> str:
        """The error, or what became of it."""
        rows: list[LineageEntry | OutcomeEntry] = [*([self.outcome] if self.outcome else []), *self.visits[-1:]]
        return next((text for text in [*map(error_of, rows), *map(reason_of, rows)] if text), "")


def passages(found: MessageLineage) -> list[Passage]:
    """Return the ways of some messages, in the order of message, execution and time."""
    ends = {(row.message_id, row.execution_id, row.route): row for row in found.outcomes}
    visits: dict[tuple[bytes, str, str], list[LineageEntry]] = {}
    for row in found.visits:
        visits.setdefault((row.message_id, row.execution_id, row.route), []).append(row)
    ways: list[Passage] = []
    for key in dict.fromkeys([*visits, *ends]):
        seen = sorted(visits.get(key, []), key=lambda row: (row.attempt, row.position, row.started_ns))
        first: LineageEntry | OutcomeEntry = ends[key] if key in ends else seen[0]
        ways.append(Passage(key[0], first.parent_id, key[1], key[2], ends.get(key), seen))
    return ways


async def ancestors(reader: LineageReader, message_id: bytes) -> list[Passage]:
    """Return the ways of a message's ancestors and its own, the root's first, as far as they are recorded."""
    found: list[Passage] = []
    seen: set[bytes] = set()
    current: bytes | None = message_id
    while current is not None and current not in seen and len(seen) < MOST_ANCESTORS:
        seen.add(current)
        ways = passages(await reader.messages([current]))
        found = ways + found
        current = next((way.parent_id for way in ways if way.parent_id is not None), None)
    return found


@click.command(
    "chain",
    short_help="Show where a message came from, up to its root.",
    epilog="""\b
Example:
  factflow lineage chain 018f3c2a9b7c""",
)
@click.argument("message_id")
@store_options
@table_output_option
@debug_option
@click.pass_obj
def chain_command(settings: Settings, *, home: Path | None, url: str | None, message_id: str) -> int:
    """Show where the message came from whose id begins with MESSAGE_ID: its root first, itself last."""

    async def read(reader: LineageReader) -> list[Passage]:
        return await ancestors(reader, await message_of(reader, message_id))

    _print(with_lineage(home, url, read), "chain", settings, more=False)
    return ExitStatus.OK


@click.command(
    "children",
    short_help="List what a message became.",
    epilog="""\b
Example:
  factflow lineage children 018f3c2a9b7c --limit 100""",
)
@click.argument("message_id")
@click.option(
    "--limit", type=click.IntRange(min=1, max=100_000), default=20, show_default=True, help="Children to list."
)
@store_options
@table_output_option
@debug_option
@click.pass_obj
def children_command(settings: Settings, *, home: Path | None, url: str | None, message_id: str, limit: int) -> int:
    """List the messages that the one whose id begins with MESSAGE_ID became: emitted ones, and one for each outbound."""

    async def read(reader: LineageReader) -> tuple[list[Passage], bool]:
        parent = await message_of(reader, message_id)
        ids = await reader.children(parent, limit=limit + 1)
        return passages(await reader.messages(ids[:limit])), len(ids) > limit

    found, more = with_lineage(home, url, read)
    _print(found, "children", settings, more=more)
    if more:
        click.echo(f"factflow: the first {limit:,} children listed; --limit lists more", err=True)
    elif not found:
        click.echo("factflow: it has no children, or none is recorded", err=True)
    return ExitStatus.OK


def _print(ways: Sequence[Passage], name: str, settings: Settings, *, more: bool) -> None:
    if settings.as_json:
        print_document({name: [way_document(way) for way in ways], "more": more}, settings)
        return
    several = len({way.execution_id for way in ways}) > 1
    table = Table(
        *names("message", "route", "outcome"),
        Column(title="attempts", kind=Kind.NUMBER),
        Column(title="execution", optional=True),
        Column(title="what became of it", kind=Kind.PROSE, optional=True),
    )
    for way in ways:
        attempts = way.outcome.attempts if way.outcome else max((row.attempt for row in way.visits), default=0)
        style = STYLES.get(way.state.partition(" ")[0], "")
        table.add(
            way.message_id.hex(),
            way.route,
            Cell(way.state, style),
            attempts,
            way.execution_id if several else "",
            Cell(way.said, style),
        )
    table.print(output(), settings.layout)


def way_document(way: Passage) -> dict[str, object]:
    """Return the JSON form. Keys are only ever added."""
    return {
        "message_id": way.message_id.hex(),
        "parent_id": way.parent_id.hex() if way.parent_id else None,
        "execution_id": way.execution_id,
        "route": way.route,
        "outcome": way.outcome.outcome if way.outcome else None,
        "state": way.state,
        "attempts": way.outcome.attempts if way.outcome else max((row.attempt for row in way.visits), default=0),
        "said": way.said,
    }
