"""`factflow publish`: put messages into a durable queue of a pipeline."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import trio

from factflow_engine.cli.building import app_for, queue_for
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.findings import checked, load_or_report
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.interrupts import is_interrupt, python_interrupts, termination_as_interrupt
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.publish_input import Item, Keys, can_be_read_twice, items_of, parsed_headers
from factflow_engine.cli.publish_target import check_target, reader_of, target_of
from factflow_engine.cli.publisher import Publisher
from factflow_engine.cli.run_input import parsed_payload
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean, plural
from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.config.hiding import Hiding
from factflow_engine.field_paths import FieldPath
from factflow_engine.queues.naming import is_topic
from factflow_protocols import AdministeredQueue, QueueProtocol

_NEEDS_QUEUE: Final = (
    "messages are published to a queue that outlives this process: expected --queue sqlite:///queue.db, the one that "
    "`factflow run --queue` was given"
)


@click.command(
    "publish",
    short_help="Put messages into a durable queue of a pipeline.",
    epilog="""\b
Examples:
  factflow publish parse --pipeline pipeline.yaml --queue sqlite:///queue.db --payload '{"url": "https://example.org"}'
  factflow publish parse --pipeline pipeline.yaml --queue sqlite:///queue.db --from urls.jsonl --key-field account
  producer | factflow publish /queue/parse --id nightly --queue sqlite:///queue.db --from -
  factflow publish /topic/news --queue sqlite:///queue.db --payload '{"text": "hello"}' --header source=shell

The pipeline need not be running: messages wait until it does. Its adapters are not imported. An execution that finds messages when it starts goes on
with them and publishes no init message.

A file is checked as a whole first: if one of its lines is no message, nothing is published. Standard input is published
as it comes, up to a thousand lines at a time; an error, Ctrl-C and SIGTERM say how many messages were published.""",
)
@click.argument("target", metavar="ROUTE|QUEUE")
@click.option(
    "--queue",
    "queue_url",
    metavar="URL",
    required=True,
    help="The queue that the pipeline runs on, as in sqlite:///queue.db.",
)
@click.option(
    "--pipeline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The pipeline; needed for a ROUTE. Its name is the execution's id, unless --id is given.",
)
@click.option("--id", "execution_id", metavar="ID", help="The execution whose queue it is, as `run --id` names it.")
@click.option("--payload", metavar="JSON", help="Publish this message.")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="FILE|-",
    help="Publish the JSON value on each line of a file, which may be gzip, or of standard input (-).",
)
@click.option("--key", metavar="TEXT", help="Key of each message, for routes with `ordering: key`.")
@click.option("--key-field", metavar="FIELD", help="Field of each message that holds its key.")
@click.option(
    "--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header of each message; may be repeated."
)
@output_option
@debug_option
@click.pass_obj
def publish_command(
    settings: Settings,
    *,
    target: str,
    queue_url: str,
    pipeline: Path | None,
    execution_id: str | None,
    payload: str | None,
    source: Path | None,
    key: str | None,
    key_field: str | None,
    headers: tuple[str, ...],
) -> int:
    """Publish messages to a route of a pipeline, to a queue of an execution, or to a topic.

    ROUTE is a route's id and needs --pipeline. QUEUE is /topic/NAME, or /queue/NAME with --id or --pipeline, or
    exec:ID:/queue/NAME as `factflow queue stats` shows it. Without --pipeline the queue must be in the file already.
    """
    keys = _keys(key, key_field)
    given = parsed_headers(headers)
    items = _items(payload, source, keys)
    queue = queue_for(queue_url)
    if queue is None or not queue.outlives_process:
        raise InvalidInputError(_NEEDS_QUEUE)
    config = None
    if pipeline is not None:
        config = _load(pipeline, queue, settings)
        if config is None:
            return ExitStatus.INVALID
    name, subscription = target_of(target, config, execution_id)
    if (config is None or is_topic(name)) and isinstance(queue, AdministeredQueue):
        check_target(queue_url, name, subscription)
    reader = None if config is None or is_topic(name) else reader_of(name, config, execution_id)
    publisher = Publisher(queue, name, headers=given, reader=reader)
    with python_interrupts(), termination_as_interrupt() as is_terminated:
        try:
            trio.run(_publish, queue, publisher, items)
        except (KeyboardInterrupt, BaseExceptionGroup) as error:
            if not is_interrupt(error):
                raise
            return _interrupted(publisher, settings, number=signal.SIGTERM if is_terminated() else signal.SIGINT)
    if settings.as_json:
        document = {"published": publisher.published, "queue": name, "message_id": publisher.last_id}
        print_document(document if payload is not None else {**document, "message_id": None}, settings)
    else:
        click.echo(f"{plural(publisher.published, 'message')} published to {clean(name)}")
    return ExitStatus.OK


def _interrupted(publisher: Publisher, settings: Settings, *, number: signal.Signals) -> int:
    said = f"interrupted by {number.name}: {publisher.so_far()}"
    click.echo(f"factflow: {said}", err=True)
    if settings.as_json:
        document = {"status": "error", "error": said, "error_type": KeyboardInterrupt.__name__}
        print_document({**document, "published": publisher.published}, settings)
    return 128 + number


def _load(file: Path, queue: QueueProtocol, settings: Settings) -> PipelineGlobalConfig | None:
    """Return a pipeline, without importing its adapters, which have no part in publishing; print findings if it has errors."""
    app = app_for((), queue=queue, allow_loss=True, imports=False)
    result = checked(app, file, imports=False)
    if not result.is_valid or result.config is None:
        return load_or_report(app, file, settings, imports=False)
    settings.hidden = Hiding(result.config.secrets)
    return result.config


async def _publish(queue: QueueProtocol, publisher: Publisher, items: Iterator[Item | None]) -> None:
    try:
        await publisher.publish(items)
    finally:
        with trio.CancelScope(shield=True):
            await queue.stop()


def _keys(key: str | None, key_field: str | None) -> Keys:
    if key is not None and key_field is not None:
        raise InvalidInputError("--key is the key of every message, --key-field names the field that has it: give one")
    try:
        return Keys(fixed=key, field=None if key_field is None else FieldPath(key_field))
    except ValueError as error:
        raise InvalidInputError(f"--key-field: {error}") from error


def _items(payload: str | None, source: Path | None, keys: Keys) -> Iterator[Item | None]:
    """Return the messages to publish; a file that can be read again has been checked.

    Raises:
        InvalidInputError: Neither or both of the options are given, or one of the messages is invalid.
    """
    if (payload is None) == (source is None):
        raise InvalidInputError(
            "name what to publish: either --payload JSON, or --from FILE (--from - reads standard input)"
        )
    if payload is not None:
        value: Any = parsed_payload("--payload", payload)
        return iter([Item(value, keys.of(value, "--payload"), len(payload), "--payload")])
    assert source is not None
    if can_be_read_twice(source):
        try:
            for _ in items_of(source, keys):
                pass
        except InvalidInputError as error:
            raise InvalidInputError(f"{error}; nothing was published") from error
    return items_of(source, keys)
