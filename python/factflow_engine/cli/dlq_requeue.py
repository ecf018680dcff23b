"""`factflow dlq requeue`: put dead letters back where they came from."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import click

from factflow_engine.cli.durable_queue import letter_of, named, url_argument, with_queue
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean, plural
from factflow_engine.errors import CodecError
from factflow_engine.queues.dead_letters import Requeued, RequeueStoppedError
from factflow_engine.queues.naming import is_topic, memory_queue_name_problem
from factflow_engine.queues.sqlite import SqliteAdministration
from factflow_engine.queues.sqlite.browsing import State
from factflow_protocols import QueueError

_OWN: Final = re.compile("exec:[A-Za-z0-9._-]{1,64}:(/.*)")
"""An execution's own queue."""


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
@click.option("--create", is_flag=True, help="Make the queue of --to if it is not in the file yet.")
@output_option
@debug_option
@click.pass_obj
def requeue_command(
    settings: Settings,
    *,
    url: str,
    queue: str,
    message_ids: tuple[str, ...],
    everything: bool,
    to: str | None,
    create: bool,
) -> int:
    """Publish dead letters of QUEUE again, with their original payload and headers, and take them out of QUEUE.

    Both or neither happens, message by message; putting the same one back twice makes one message of it.
    What goes back to a topic reaches every subscription of it, and stays in QUEUE if there is none.
    What a consumer has is left to it. At the first message that cannot be put back, such as for want of room, it ends.
    """
    if everything == bool(message_ids):
        raise InvalidInputError("name the messages to put back, or write --all")
    if to is None and create:
        raise InvalidInputError("--create says that the queue of --to may be new; add --to")
    if to is not None and (problem := _name_problem(to)):
        raise InvalidInputError(f"--to {to!r} {problem}")

    async def put_back(queues: SqliteAdministration) -> tuple[Requeued, QueueError | None]:
        seqs, leased = await _chosen(queues, queue, message_ids, to)
        error: QueueError | None = None
        try:
            counts = await queues.requeue(queue, seqs, to=to, create=create)
        except RequeueStoppedError as stopped:
            counts, error = stopped.counts, stopped
        counts = counts.plus(Requeued(leased=leased))
        if counts.leased and message_ids and error is None:
            error = QueueError(queue, "a consumer has such a message now; stop it, or wait for its lease")
        return counts, error

    counts, error = with_queue(url, put_back)
    if settings.as_json:
        failure = {} if error is None else {"status": "error", "error": str(error), "error_type": type(error).__name__}
        print_document({**failure, **asdict(counts)}, settings)
    else:
        notes = [f"{counts.duplicates} put back before"] * bool(counts.duplicates)
        notes += [f"{counts.gone} taken by somebody meanwhile"] * bool(counts.gone)
        notes += [f"{counts.leased} left with a consumer"] * bool(counts.leased)
        click.echo(", ".join([f"{plural(counts.requeued, 'message')} put back", *notes]))
    if error is not None:
        raise InvalidInputError(str(error)) from error
    return ExitStatus.OK


def _name_problem(to: str) -> str | None:
    """What is wrong with the name of a queue in a file, where those of executions have a prefix."""
    own = _OWN.fullmatch(to)
    bare = own[1] if own else to
    if own and is_topic(bare):
        return f"is no execution's own: topics are everybody's; write {bare!r}"
    return memory_queue_name_problem(bare)


async def _chosen(
    queues: SqliteAdministration, queue: str, message_ids: Sequence[str], to: str | None
) -> tuple[list[int], int]:
    """The sequence numbers of the messages named, or of all that can go there; and how many of all consumers have."""
    if message_ids:
        seqs = [seq for text in message_ids for seq in await named(queues, queue, text)]
        return list(dict.fromkeys(seqs)), 0
    found, leased = [], 0
    async for stored in queues.browse(queue):
        if stored.state is State.LEASED:
            leased += 1
            continue
        try:
            letter_of(queue, stored).target(to)
        except (QueueError, CodecError, LookupError) as error:
            click.echo(clean(f"factflow: left where it is: {error}"), err=True)
        else:
            found.append(stored.seq)
    return found, leased
