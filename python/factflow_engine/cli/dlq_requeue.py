"""`factflow dlq requeue`: put dead letters back where they came from."""

from dataclasses import asdict

import click

from factflow_engine.cli.dlq_choice import Asked, Steps, choice_options, choose
from factflow_engine.cli.durable_queue import url_argument, with_queue
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean, plural
from factflow_engine.queues.naming import stored_queue_name_problem
from factflow_protocols import QueueAdministration, QueueError, Requeued, RequeueError


@click.command(
    "requeue",
    short_help="Put dead letters back where they came from.",
    epilog="""\b
Examples:
  factflow dlq requeue sqlite:///queue.db /queue/dlq 018f3a4c9d2e
  factflow dlq requeue sqlite:///queue.db /queue/dlq --error-type TimeoutError --since 2h
  factflow dlq requeue sqlite:///queue.db /queue/dlq --all --to /queue/parse --yes""",
)
@url_argument
@click.argument("queue")
@choice_options
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
    asked: Asked,
    to: str | None,
    create: bool,
) -> int:
    """Publish dead letters of QUEUE again, with their original payload and headers, and take them out of QUEUE.

    Name them, or select them, or write --all: then their number is shown and you are asked first. Each message is
    published and removed in one transaction, in the order of QUEUE; requeueing the same one twice makes one message, so
    that an interrupted command may be repeated. A dead letter that goes back to a topic reaches every subscription, and
    stays in QUEUE if the topic has none. A dead letter that a consumer has is left alone. One that cannot be put back
    (because it would go back to QUEUE itself, for example) is left, too, and counted. The command stops when a queue is
    full.
    """
    if to is None and create:
        raise InvalidInputError("--create says that the queue of --to may be new; add --to")
    if to is not None and (problem := stored_queue_name_problem(to)):
        raise InvalidInputError(f"--to {to!r} {problem}")

    choice = choose(url, queue, asked, others=True)
    if not (asked.yes or asked.message_ids or not choice.messages):
        target = "" if to is None else f" to {clean(to)}"
        if not choice.permitted(f"Put back{target}", queue, settings, asker="requeueing"):
            return ExitStatus.FAILED
    so_far = Requeued()

    async def put_back(queues: QueueAdministration) -> tuple[Requeued, QueueError | None]:
        steps = Steps()

        def note(counts: Requeued) -> None:
            nonlocal so_far
            so_far = counts
            steps.tell(f"{_said(counts)}, of {len(choice.messages):,}")

        seqs = [name.seq for name in choice.messages]
        try:
            counts = await queues.requeue(queue, seqs, to=to, create=create, progress=note)
        except RequeueError as error:
            return error.counts, error
        if counts.leased and asked.message_ids:
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


def _said(counts: Requeued) -> str:
    notes = [f"{counts.duplicates} put back before"] * bool(counts.duplicates)
    notes += [f"{counts.gone} taken by somebody meanwhile"] * bool(counts.gone)
    notes += [f"{counts.leased} left with a consumer"] * bool(counts.leased)
    notes += [f"{counts.left} left where they are"] * bool(counts.left)
    return ", ".join([f"{plural(counts.requeued, 'message')} put back", *notes])
