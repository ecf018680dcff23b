"""`factflow queue forget`: remove a queue, a topic's subscription, or everything of an execution."""

from collections.abc import Iterable
from pathlib import Path

import click

from factflow_engine.adapters.builtin._staging import remove_staging, staging_path
from factflow_engine.cli.confirmation import confirmed
from factflow_engine.cli.durable_queue import url_argument, with_queue
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean, plural
from factflow_protocols import Forgotten, Purged, QueueAdministration


@click.command(
    "forget",
    short_help="Remove a queue, a subscription, or an execution.",
    epilog="""\b
Examples:
  factflow queue forget sqlite:///queue.db exec:nightly:/queue/parse
  factflow queue forget sqlite:///queue.db /topic/news --subscription audit
  factflow queue forget sqlite:///queue.db --execution nightly
  factflow queue forget sqlite:///queue.db --execution nightly --stage parse/count""",
)
@url_argument
@click.argument("queue", required=False)
@click.option("--subscription", help="Only this subscription of a topic.")
@click.option(
    "--execution", metavar="ID", help="Instead of QUEUE: all queues of this execution, and what its stages keep."
)
@click.option("--stage", metavar="ROUTE/STAGE", help="With --execution: only what this stage keeps.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option
@debug_option
@click.pass_obj
def forget_command(
    settings: Settings,
    *,
    url: str,
    queue: str | None,
    subscription: str | None,
    execution: str | None,
    stage: str | None,
    yes: bool,
) -> int:
    """Remove QUEUE, or all subscriptions of a topic, with all their messages.

    A topic's subscription stays when its consumers leave; once it is full, publishers to the topic wait. Nothing is
    removed while a consumer has messages of it. A consumer without messages gets an error. The last queue of an
    execution takes with it the states of the execution's stages; --execution also removes what write_jsonl has stored
    beside files that were not completed.
    """
    place = _checked(queue, subscription, execution, stage)
    question = _question(queue, subscription, execution, stage)
    if not (yes or confirmed(question, settings, asker="forgetting")):
        return ExitStatus.FAILED

    kept: list[tuple[str, str, str]] = []  # of stages that store something in files: path, route id and name

    async def forget(queues: QueueAdministration) -> Forgotten:
        if execution is None:
            assert queue is not None
            return await queues.forget(queue, subscription=subscription)
        for route, name, shape in await queues.shapes(execution):
            if shape.adapter == "write_jsonl" and place in {None, (route, name)}:
                kept.extend((path, route, name) for path in shape.paths)
        if place is None:
            return await queues.forget_execution(execution)
        return Forgotten(0, Purged(0, 0, 0), await queues.forget_stage(execution, *place))

    lines, purged, states = with_queue(url, forget)
    removed = _remove_files(execution, kept)
    deleted = sum(purged)
    if settings.as_json:
        print_document({"forgotten": lines, "deleted": deleted, "states": states, "files": removed}, settings)
    else:
        notes = [f"{lines} removed, {plural(deleted, 'message')} deleted"] * (place is None)
        notes += [f"{plural(states, 'state')} of stages forgotten"] * bool(states)
        notes += [f"{clean(file)} deleted" for file in removed]
        click.echo(", ".join(notes))
    return ExitStatus.OK


def _remove_files(execution: str | None, kept: Iterable[tuple[str, str, str]]) -> list[str]:
    """Delete what stages have stored beside uncompleted files, and return what was deleted."""
    files = [staging_path(Path(path).resolve(), execution or "", route, stage) for path, route, stage in kept]
    return [str(file) for file in files if remove_staging(file)]


def _checked(
    queue: str | None, subscription: str | None, execution: str | None, stage: str | None
) -> tuple[str, str] | None:
    """Return the route and name of the stage, if one is named."""
    if (queue is None) == (execution is None):
        raise InvalidInputError("name what to forget: either QUEUE, or --execution ID")
    if execution is not None and subscription is not None:
        raise InvalidInputError("--subscription goes with QUEUE, a topic; --execution is about all that is its own")
    if stage is None:
        return None
    if execution is None:
        raise InvalidInputError("--stage goes with --execution ID")
    route, slash, name = stage.partition("/")
    if not (route and slash and name):
        raise InvalidInputError(f"--stage is {stage!r}; expected ROUTE/STAGE, as `factflow queue stats` lists them")
    return route, name


def _question(queue: str | None, subscription: str | None, execution: str | None, stage: str | None) -> str:
    if stage is not None:
        return f"Forget what stage {clean(stage)} of execution {clean(execution or '')} keeps?"
    if execution is not None:
        return f"Remove all queues of execution {clean(execution)}, all that they hold, and what its stages keep?"
    what = f"the subscription {subscription} of {queue}" if subscription is not None else queue or ""
    return f"Remove {clean(what)} and all that it holds?"
