"""`factflow dlq requeue`: put dead letters back where they came from."""

from collections.abc import Sequence
from dataclasses import asdict

import click

from factflow_engine.cli.durable_queue import letters_of, named, url_argument, with_queue
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import plural
from factflow_engine.queues.naming import stored_queue_name_problem
from factflow_protocols import QueueAdministration, QueueError, Requeued, RequeueError


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

    Each message is published and removed in one transaction; requeueing the same one twice makes one message. A dead
    letter that goes back to a topic reaches every subscription, and stays in QUEUE if the topic has none. A dead letter
    that a consumer has is left alone. One that cannot be put back (because it would go back to QUEUE itself, for
    example) is left, too, and counted. The command stops when a queue is full.
    """
    if everything == bool(message_ids):
        raise InvalidInputError("name the messages to put back, or write --all")
    if to is None and create:
        raise InvalidInputError("--create says that the queue of --to may be new; add --to")
    if to is not None and (problem := stored_queue_name_problem(to)):
        raise InvalidInputError(f"--to {to!r} {problem}")

    so_far = Requeued()

    def note(counts: Requeued) -> None:
        nonlocal so_far
        so_far = counts

    async def put_back(queues: QueueAdministration) -> tuple[Requeued, QueueError | None]:
        seqs = await _chosen(queues, queue, message_ids)
        try:
            counts = await queues.requeue(queue, seqs, to=to, create=create, progress=note)
        except RequeueError as error:
            return error.counts, error
        if counts.leased and message_ids:
            return counts, QueueError(queue, "a consumer has such a message now; stop it, or wait for its lease")
        return counts, None

    try:
        counts, error = with_queue(url, put_back)
    except KeyboardInterrupt:
        click.echo(f"factflow: {_said(so_far)}", err=True)
        raise
    if settings.as_json:
        failure = {} if error is None else {"status": "error", "error": str(error), "error_type": type(error).__name__}
        print_document({**failure, **asdict(counts)}, settings)
    else:
        click.echo(_said(counts))
    if error is not None:
        raise InvalidInputError(str(error)) from error
    return ExitStatus.OK


async def _chosen(queues: QueueAdministration, queue: str, message_ids: Sequence[str]) -> list[int]:
    """Return the sequence numbers of the messages named, or of all."""
    if not message_ids:
        return [stored.seq async for stored, _ in letters_of(queues, queue)]
    seqs = [seq for text in message_ids for seq in await named(queues, queue, text)]
    return list(dict.fromkeys(seqs))


def _said(counts: Requeued) -> str:
    notes = [f"{counts.duplicates} put back before"] * bool(counts.duplicates)
    notes += [f"{counts.gone} taken by somebody meanwhile"] * bool(counts.gone)
    notes += [f"{counts.leased} left with a consumer"] * bool(counts.leased)
    notes += [f"{counts.left} left where they are"] * bool(counts.left)
    return ", ".join([f"{plural(counts.requeued, 'message')} put back", *notes])
