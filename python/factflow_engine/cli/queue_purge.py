"""`factflow queue purge`: delete the waiting messages of a queue."""

import click

from factflow_engine.cli.confirmation import confirmed
from factflow_engine.cli.durable_queue import url_argument, with_queue
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean, plural
from factflow_protocols import Purged, QueueAdministration


@click.command(
    "purge",
    short_help="Delete the messages that wait in a queue.",
    epilog="""\b
Examples:
  factflow queue purge sqlite:///queue.db /queue/parse
  factflow queue purge sqlite:///queue.db --quarantined""",
)
@url_argument
@click.argument("queue", required=False)
@click.option("--subscription", help="Only this subscription of a topic.")
@click.option(
    "--quarantined",
    is_flag=True,
    help="Only the messages that could not be read; without QUEUE those of the whole file, of no queue too.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
@debug_option
@click.pass_obj
def purge_command(
    settings: Settings, *, url: str, queue: str | None, subscription: str | None, quarantined: bool, yes: bool
) -> int:
    """Delete the waiting messages of QUEUE, due or not, and forget the ids it has seen.

    Settled messages that are retained and messages in quarantine are deleted, too. Messages that consumers have stay
    theirs.
    """
    if queue is None and (subscription is not None or not quarantined):
        raise InvalidInputError("name the queue to purge; only --quarantined goes without one, for the whole file")
    what = "what is in quarantine" if quarantined else "what waits, is kept or is in quarantine"
    question = f"Delete {what} in {clean(queue or url)}?"
    if not (yes or confirmed(question, settings, asker="purging")):
        return ExitStatus.FAILED

    async def purge(queues: QueueAdministration) -> Purged:
        if queue is None or quarantined:
            return Purged(0, 0, await queues.purge_quarantine(queue, subscription=subscription))
        return await queues.purge(queue, subscription=subscription)

    purged = with_queue(url, purge)
    if settings.as_json:
        document = {"deleted": purged.messages, "settled": purged.settled, "quarantined": purged.quarantined}
        print_document(document, settings)
    else:
        notes = [f"{purged.settled:,} settled ones that were kept"] * bool(purged.settled)
        notes += [f"{purged.quarantined:,} from quarantine"] * bool(purged.quarantined)
        click.echo(", ".join([f"{plural(purged.messages, 'message')} deleted", *notes]))
    return ExitStatus.OK
