"""`factflow dlq show`: one dead letter in full."""

from collections.abc import Mapping

import click

from factflow_engine.cli.durable_queue import letter_document, letter_of, named, url_argument, with_queue
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean
from factflow_engine.cli.times import when
from factflow_engine.queues.dead_letters import HEADER, DeadLetter
from factflow_protocols import QueueAdministration, StoredMessage

_SHOWN = 20_000
"""Characters of a payload printed as text; `--output json` prints all of it."""

_LABEL = 60
"""Characters of a name printed; longer ones are cut."""


@click.command("show", short_help="Show one dead letter in full.")
@url_argument
@click.argument("queue")
@click.argument("message_id")
@output_option
@debug_option
@click.pass_obj
def show_command(settings: Settings, *, url: str, queue: str, message_id: str) -> int:
    """Show the dead letter of QUEUE whose id begins with MESSAGE_ID (8 digits or more)."""

    async def read(queues: QueueAdministration) -> tuple[StoredMessage, DeadLetter, int]:
        names = await named(queues, queue, message_id)
        stored = await queues.one(queue, names[0].seq)
        if stored is None:
            raise InvalidInputError(f"message {message_id} was taken from queue {queue!r} meanwhile")
        return stored, letter_of(queue, stored), len(names)

    stored, letter, copies = with_queue(url, read)
    if copies > 1:
        click.echo(f"factflow: {copies} messages have this id; the oldest is shown", err=True)
    headers = {name: value for name, value in letter.frame.headers.items() if name != HEADER}
    payload = letter.frame.value()
    document = letter_document(letter, stored.state)
    content = {"key": letter.frame.key, "headers": headers, "payload": payload}
    if settings.as_json:
        print_document(printable({**document, "first": letter.first, **content}), settings)
        return ExitStatus.OK
    _show(document)
    _show(letter.first or {}, before="first ")
    _show(content)
    return ExitStatus.OK


def _show(values: Mapping[str, object], before: str = "") -> None:
    """Print one value a line, with times for people to read; what a letter does not have is left out."""
    for name, value in values.items():
        if name != "payload" and value in (None, {}):
            continue
        label, text = name.replace("_", " "), value if isinstance(value, str) else repr(value)
        if name == "time_ns" and isinstance(value, int):
            label, text = "when (UTC)", when(value)
        click.echo(f"{clean(before + label, limit=_LABEL) + ':':<18} {clean(text, limit=_SHOWN)}")


def printable(value: object) -> object:
    """Return a message's value as JSON: bytes in hexadecimal, values that JSON lacks as text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else repr(value)  # JSON has no infinities and no NaN
    if isinstance(value, dict):
        return {str(key): printable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [printable(each) for each in value]
    return value.hex() if isinstance(value, bytes) else repr(value)
