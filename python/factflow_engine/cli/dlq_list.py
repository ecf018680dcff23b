"""`factflow dlq list`: the dead letters of a queue, newest first, and what they have in common."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import click
from rich.console import Console
from rich.text import Text

from factflow_engine.cli.console import output
from factflow_engine.cli.dead_letters import Census, FoundLetter, Reader
from factflow_engine.cli.durable_queue import letter_document, url_argument, with_queue
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.failure_groups import MOST_GROUPS, MOST_SHOWN, FailureGroup, group_lines, stage_of
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, table_output_option
from factflow_engine.cli.selection import Selection, selection_options
from factflow_engine.cli.settings import Layout, Settings
from factflow_engine.cli.tables import Cell, Column, Table, names, numbers, prose
from factflow_engine.cli.text import clean, plural
from factflow_engine.cli.times import when
from factflow_engine.conditions import Condition
from factflow_engine.runtime.report import FailureRecord
from factflow_protocols import MessageState, QueueAdministration

_ERROR_LIMIT = 200
_KEY_LIMIT = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Dead letters to print, and counts of all that are selected.

    Attributes:
        census: The counts.
        letters: The newest of the selected letters.
        records: The same letters as reports show failures.
        keys: Their keys.
        groups: Groups of the selected letters, the largest first.
    """

    census: Census
    letters: list[FoundLetter] = field(default_factory=list)
    records: list[FailureRecord] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    groups: list[FailureGroup[FailureRecord]] = field(default_factory=list)

    @property
    def more(self) -> bool:
        """True if letters are selected that are not printed."""
        return self.census.selected > len(self.letters)


@click.command(
    "list",
    short_help="List the dead letters of a queue and count them by error.",
    epilog="""\b
Examples:
  factflow dlq list sqlite:///queue.db /queue/dlq
  factflow dlq list sqlite:///queue.db /queue/dlq --since 2h --error-type TimeoutError
  factflow dlq list sqlite:///queue.db /queue/dlq --where '{field: tenant, operator: eq, value: acme}'""",
)
@url_argument
@click.argument("queue")
@selection_options
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Letters to list, newest first."
)
@table_output_option
@debug_option
@click.pass_obj
def list_command(
    settings: Settings,
    *,
    url: str,
    queue: str,
    error_types: tuple[str, ...],
    condition: Condition | None,
    since: int | None,
    limit: int,
) -> int:
    """List the dead letters of QUEUE, newest first, and count them by stage, error and place.

    Of each: when it was given up, by which stage, its key, the error with the line that raised it, and the beginning of
    its payload. All selected letters are counted, whatever --limit is.

    With --output plain only the letters are printed: message, time (UTC), stage, attempts, key, state, error, the line that
    raised it, and payload.
    """
    selection = Selection(error_types=frozenset(error_types), condition=condition, since_ns=since, limit=limit)

    async def read(queues: QueueAdministration) -> Listing:
        listing = Listing(census=Census(selection))
        async for found in listing.census.take(queues, queue):
            if len(listing.letters) < limit:
                listing.letters.append(found)
        reader = Reader(queues, queue)
        listing.records.extend([await reader.record(found) for found in listing.letters])
        listing.keys.extend(map(reader.key, listing.letters))
        listing.groups.extend(await reader.largest(listing.census, MOST_GROUPS if settings.as_json else MOST_SHOWN))
        return listing

    listing = with_queue(url, read)
    if listing.census.unknown_types:
        click.echo(f"factflow: {clean(listing.census.unknown_types)}", err=True)
    if settings.as_json:
        print_document(_document(listing, limit), settings)
        return ExitStatus.OK
    _print(listing, queue, settings.layout)
    if listing.more:
        said = f"factflow: {len(listing.letters):,} of {plural(listing.census.selected, 'letter')} listed; --limit lists more"
        click.echo(said, err=True)
    return ExitStatus.OK


def _print(listing: Listing, queue: str, layout: Layout) -> None:
    console = output()
    if layout is Layout.TEXT:
        for line in _letter_lines(listing, console):
            console.print(line, soft_wrap=True)
    else:
        _letters_table(listing).print(console, layout)
    if layout is Layout.PLAIN:
        for other in _other_lines(listing.census):
            click.echo(f"factflow: {other}", err=True)
        return
    for line in summary_lines(_headline(listing.census, queue), listing.census, listing.groups):
        console.print(line, soft_wrap=True)


def _letters_table(listing: Listing) -> Table:
    key = Column(title="key", optional=True)
    table = Table(
        *names("message", "time", "stage"),
        *numbers("attempts"),
        key,
        *names("state"),
        *prose("error", "place", "payload"),
    )
    for found, record, key_text in zip(listing.letters, listing.records, listing.keys, strict=True):
        letter, error = found.letter, f"{record.error_type}: {record.error}"
        table.add(
            record.message_id,
            when(letter.time_ns),
            stage_of(record),
            letter.attempts,
            key_text or "",
            str(found.state),
            Cell(error, "red"),
            record.place,
            Cell(record.payload_preview, "dim"),
        )
    return table


def _letter_lines(listing: Listing, console: Console) -> Iterator[Text]:
    """Yield each letter: on a terminal in three lines, elsewhere in one."""
    separator = "\n    " if console.is_terminal else "  "
    for found, record, key in zip(listing.letters, listing.records, listing.keys, strict=True):
        letter = found.letter
        head = [record.message_id, when(letter.time_ns), clean(stage_of(record))]
        head += [f"after {letter.attempts} attempts"] * (letter.attempts > 1)
        head += [f"key {clean(key or '', limit=_KEY_LIMIT)}"] * (key is not None)
        head += [str(found.state)] * (found.state is not MessageState.WAITING)
        error = clean(f"{record.error_type}: {record.error}", limit=_ERROR_LIMIT)
        place = f" ({clean(record.place)})" if record.place else ""
        yield Text.assemble(
            "  ".join(head), separator, (error, "red"), place, separator, (clean(record.payload_preview), "dim")
        )


def _headline(census: Census, queue: str) -> str:
    of = f"{census.selected:,} of " if census.selected != census.letters else ""
    return f"{of}{plural(census.letters, 'dead letter')} in {clean(queue)}"


def summary_lines(headline: str, census: Census, groups: list[FailureGroup[FailureRecord]]) -> Iterator[Text]:
    """Yield lines on all selected letters: their number, and the groups, the largest first."""
    yield Text(headline, style="bold")
    if len(census.error_types) > 1:
        types = ", ".join(f"{number:,} x {clean(name)}" for name, number in census.error_types.most_common(MOST_SHOWN))
        yield Text(f"  {types}")
    yield from group_lines(groups, sample="newest")
    more = census.selected - sum(group.count for group in groups)
    if more:
        yield Text(f"  ... and {more:,} more (--output json has more groups)")
    yield from (Text(line, style="yellow") for line in _other_lines(census))


def _other_lines(census: Census) -> Iterator[str]:
    if census.others:
        newest = census.others[0].message_id.hex()
        yield f"{plural(len(census.others), 'other message')} there: no dead letter, or damaged, such as {newest}"


def _document(listing: Listing, limit: int) -> dict[str, object]:
    """Return the JSON form. Keys are only ever added."""
    census = listing.census
    return {
        "dead_letters": [
            {
                **letter_document(found.letter, found.state),
                "error": record.error,
                "key": key,
                "payload_preview": record.payload_preview,
            }
            for found, record, key in zip(listing.letters, listing.records, listing.keys, strict=True)
        ],
        "other_messages": [name.message_id.hex() for name in census.others[:limit]],
        "others": len(census.others),
        "more": listing.more,
        "total": census.letters,
        "selected": census.selected,
        "error_types": dict(census.error_types.most_common()),
        "groups": [
            {
                "route": group.sample.route,
                "stage": group.sample.stage,
                "error_type": group.sample.error_type,
                "error": group.sample.error,
                "place": group.sample.place,
                "count": group.count,
                "message_id": group.sample.message_id,
                "payload_preview": group.sample.payload_preview,
            }
            for group in listing.groups
        ],
        "ungrouped": census.groups.ungrouped,
    }
