"""`factflow dlq purge`: delete dead letters, exactly those that were previewed."""

from dataclasses import asdict

import click

from factflow_engine.cli.dlq_choice import Asked, Steps, choice_options, choose
from factflow_engine.cli.durable_queue import url_argument, with_queue
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import plural
from factflow_protocols import Deleted, QueueAdministration


@click.command(
    "purge",
    short_help="Delete dead letters.",
    epilog="""\b
Examples:
  factflow dlq purge sqlite:///queue.db /queue/dlq 018f3a4c9d2e
  factflow dlq purge sqlite:///queue.db /queue/dlq --error-type Reject --where '{field: test, operator: exists}'
  factflow dlq purge sqlite:///queue.db /queue/dlq --all --yes""",
)
@url_argument
@click.argument("queue")
@choice_options
@output_option
@debug_option
@click.pass_obj
def purge_command(
    settings: Settings,
    *,
    url: str,
    queue: str,
    asked: Asked,
) -> int:
    """Delete dead letters of QUEUE for good: those that are named or selected, or with --all every one.

    Their number is shown and you are asked first. What arrives meanwhile stays, as do dead letters that a consumer has,
    and messages that are no dead letters (`factflow queue purge` deletes everything). An interrupted command has
    deleted some of them, and may be repeated.
    """
    choice = choose(url, queue, asked, others=False)
    if not (asked.yes or not choice.messages or choice.permitted("Delete", queue, settings, asker="purging")):
        return ExitStatus.FAILED
    so_far = Deleted()

    async def delete(queues: QueueAdministration) -> Deleted:
        steps = Steps()

        def note(counts: Deleted) -> None:
            nonlocal so_far
            so_far = counts
            steps.tell(f"{_said(counts)}, of {len(choice.messages):,}")

        return await queues.delete(queue, choice.messages, progress=note)

    try:
        counts = with_queue(url, delete)
    except KeyboardInterrupt:
        click.echo(f"factflow: {_said(so_far)}", err=True)
        raise
    if settings.as_json:
        print_document(asdict(counts), settings)
    else:
        click.echo(_said(counts))
    if counts.leased and asked.message_ids:
        raise InvalidInputError("a consumer has such a message now; stop it, or wait for its lease")
    return ExitStatus.OK


def _said(counts: Deleted) -> str:
    notes = [f"{counts.gone:,} taken by somebody meanwhile"] * bool(counts.gone)
    notes += [f"{counts.leased:,} left with a consumer"] * bool(counts.leased)
    return ", ".join([f"{plural(counts.deleted, 'dead letter')} deleted", *notes])
