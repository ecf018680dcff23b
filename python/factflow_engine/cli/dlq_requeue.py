"""`factflow dlq requeue`: put dead letters back where they came from."""

from collections.abc import Sequence

import click

from factflow_engine.cli.durable_queue import letter_of, named, url_argument, with_queue
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean, plural
from factflow_engine.errors import CodecError
from factflow_engine.queues.dead_letters import Requeued
from factflow_engine.queues.naming import memory_queue_name_problem
from factflow_engine.queues.sqlite import SqliteAdministration
from factflow_engine.queues.sqlite.browsing import State
from factflow_protocols import QueueError


@click.command(
    "requeue",
    short_help="Put dead letters back where they came from.",
    epilog="""\b
Examples:
  factflow dlq requeue sqlite:///queue.db /queue/dlq 018f3a4c9d2e
  factflow dlq requeue sqlite:///queue.db /queue/dlq --all --to /queue/parse""",
)
@url_argument
@click.argument("queue")
@click.argument("message_ids", nargs=-1, metavar="[MESSAGE_ID]...")
@click.option("--all", "everything", is_flag=True, help="All dead letters that no consumer has.")
@click.option("--to", metavar="QUEUE", help="Where to put them instead of where they came from.")
@output_option
@debug_option
@click.pass_obj
def requeue_command(
    settings: Settings, *, url: str, queue: str, message_ids: tuple[str, ...], everything: bool, to: str | None
) -> int:
    """Publish dead letters of QUEUE again, with their original payload and headers, and take them out of QUEUE.

    Both or neither happens, message by message; putting the same one back twice makes one message of it.
    What goes back to a topic reaches every subscription of it, and stays in QUEUE if there is none.
    """
    if everything == bool(message_ids):
        raise InvalidInputError("name the messages to put back, or write --all")
    bare = None if to is None else to[to.find("/") :]  # an execution's own queues are called exec:<id>:/queue/...
    if bare is not None and (problem := memory_queue_name_problem(bare)):
        raise InvalidInputError(f"--to {to!r} {problem}")

    async def put_back(queues: SqliteAdministration) -> Requeued:
        return await queues.requeue(queue, await _named(queues, queue, message_ids, to), to=to)

    counts = with_queue(url, put_back)
    if settings.as_json:
        print_document({"requeued": counts.requeued, "duplicates": counts.duplicates, "gone": counts.gone}, settings)
    else:
        notes = [f"{counts.duplicates} put back before"] * bool(counts.duplicates)
        notes += [f"{counts.gone} taken by somebody meanwhile"] * bool(counts.gone)
        click.echo(", ".join([f"{plural(counts.requeued, 'message')} put back", *notes]))
    return ExitStatus.OK


async def _named(queues: SqliteAdministration, queue: str, message_ids: Sequence[str], to: str | None) -> list[int]:
    """The sequence numbers of the messages named, or of all that nobody has and that can go there."""
    if message_ids:
        seqs = [seq for text in message_ids for seq in await named(queues, queue, text)]
        return list(dict.fromkeys(seqs))
    found = []
    async for stored in queues.browse(queue):
        if stored.state is State.LEASED:
            continue
        try:
            letter_of(queue, stored).target(to)
        except (QueueError, CodecError, LookupError) as error:
            click.echo(clean(f"factflow: left where it is: {error}"), err=True)
        else:
            found.append(stored.seq)
    return found
