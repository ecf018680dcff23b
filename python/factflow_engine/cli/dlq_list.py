"""`factflow dlq list`: the dead letters of a queue, a line on each."""

import datetime as dt

import click
from rich.text import Text

from factflow_engine.cli.console import output, table_for
from factflow_engine.cli.durable_queue import letter_document, letters_of, url_argument, with_queue
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean
from factflow_engine.queues.dead_letters import DeadLetter
from factflow_protocols import QueueAdministration, StoredMessage


@click.command(
    "list",
    short_help="List the dead letters of a queue with what became of each.",
    epilog="""\b
Example:
  factflow dlq list sqlite:///queue.db /queue/dlq""",
)
@url_argument
@click.argument("queue")
@click.option(
    "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many at most, oldest first."
)
@output_option
@debug_option
@click.pass_obj
def list_command(settings: Settings, *, url: str, queue: str, limit: int) -> int:
    """List the dead letters of QUEUE, oldest first: when, where from, and the error."""

    async def read(queues: QueueAdministration) -> tuple[list[tuple[StoredMessage, DeadLetter | None]], bool]:
        found: list[tuple[StoredMessage, DeadLetter | None]] = []
        async for each in letters_of(queues, queue):
            if len(found) == limit:
                return found, True
            found.append(each)
        return found, False

    found, more = with_queue(url, read)
    if settings.as_json:
        letters = [letter_document(letter, stored) for stored, letter in found if letter is not None]
        others = [stored.message_id.hex() for stored, letter in found if letter is None]
        print_document({"dead_letters": letters, "other_messages": others, "more": more}, settings)
        return ExitStatus.OK
    console = output()
    table = table_for(console)
    for name in ("message", "when (UTC)", "route", "stage", "attempts", "error"):
        table.add_column(name, overflow="fold")
    for stored, letter in found:
        table.add_row(Text(stored.message_id.hex()), *map(Text, _cells(letter)))
    console.print(table)
    if more:
        click.echo(f"factflow: there are more than {limit}; --limit shows more", err=True)
    return ExitStatus.OK


def _cells(letter: DeadLetter | None) -> tuple[str, ...]:
    if letter is None:
        return ("", "", "", "", "not a dead letter")
    error = clean(f"{letter.error_type}: {letter.error}", limit=120)
    if letter.place:
        error += f" ({clean(letter.place)})"
    return when(letter.time_ns), clean(letter.route), clean(letter.stage), str(letter.attempts), error


def when(time_ns: int) -> str:
    """Return a time for people to read; empty if it is unknown."""
    try:
        return f"{dt.datetime.fromtimestamp(time_ns // 1_000_000_000, dt.UTC):%Y-%m-%d %H:%M:%S}" if time_ns else ""
    except (OverflowError, ValueError, OSError):
        return ""
