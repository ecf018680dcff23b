"""`factflow queue purge`: delete what waits in a queue."""

import click

from factflow_engine.cli.durable_queue import url_argument, with_queue
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import plural


@click.command("purge", short_help="Delete the messages that wait in a queue.")
@url_argument
@click.argument("queue")
@click.option("--subscription", help="Only this subscription of a topic.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
@debug_option
@click.pass_obj
def purge_command(settings: Settings, *, url: str, queue: str, subscription: str | None, yes: bool) -> int:
    """Delete the messages that wait in QUEUE, due or not, and forget which ids it has seen.

    What consumers have at the moment stays theirs.
    """
    if not yes:
        if settings.as_json:
            raise InvalidInputError("purging asks first; write --yes where nobody can answer")
        click.confirm(f"Delete what waits in {queue}?", abort=True, err=True)
    deleted = with_queue(url, lambda queues: queues.purge(queue, subscription=subscription))
    if settings.as_json:
        print_document({"deleted": deleted}, settings)
    else:
        click.echo(f"{plural(deleted, 'message')} deleted")
    return ExitStatus.OK
