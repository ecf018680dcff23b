"""`factflow queue forget`: remove a queue, or a topic's subscription that nobody needs any more."""

import click

from factflow_engine.cli.durable_queue import url_argument, with_queue
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean, plural
from factflow_engine.queues.sqlite import SqliteAdministration
from factflow_engine.queues.sqlite.purging import Purged


@click.command(
    "forget",
    short_help="Remove a queue, or a subscription that nobody needs.",
    epilog="""\b
Examples:
  factflow queue forget sqlite:///queue.db exec:nightly:/queue/parse
  factflow queue forget sqlite:///queue.db /topic/news --subscription audit""",
)
@url_argument
@click.argument("queue")
@click.option("--subscription", help="Only this subscription of a topic.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
@debug_option
@click.pass_obj
def forget_command(settings: Settings, *, url: str, queue: str, subscription: str | None, yes: bool) -> int:
    """Remove QUEUE, or all subscriptions of a topic, with every message that they hold.

    A topic's subscription stays when its consumers leave, and once it is full, whoever publishes to the topic waits.
    Nothing is removed while a consumer has messages of it. Whoever consumes it without having any gets an error.
    """
    if not yes:
        if settings.as_json:
            raise InvalidInputError("forgetting asks first; write --yes where nobody can answer")
        what = f"the subscription {subscription} of {queue}" if subscription is not None else queue
        if not click.confirm(f"Remove {clean(what)} and all that it holds?", err=True):
            click.echo("factflow: nothing was removed", err=True)
            return ExitStatus.FAILED

    async def forget(queues: SqliteAdministration) -> tuple[int, Purged]:
        return await queues.forget(queue, subscription=subscription)

    forgotten, purged = with_queue(url, forget)
    deleted = sum(purged)
    if settings.as_json:
        print_document({"forgotten": forgotten, "deleted": deleted}, settings)
    else:
        click.echo(f"{forgotten} removed, {plural(deleted, 'message')} deleted")
    return ExitStatus.OK
