"""`factflow run`: run a pipeline to its end in this process."""

import json
import sys
from contextlib import ExitStack, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import trio

from factflow_engine.adapters.builtin._special_files import names_standard_output
from factflow_engine.cli.building import app_for, queue_for
from factflow_engine.cli.console import messages, output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.findings import load_or_report
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.interrupts import python_interrupts
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.logs import logs_through
from factflow_engine.cli.options import adapters_option, allow_loss_option, debug_option, output_option
from factflow_engine.cli.progress import ProgressMode, open_progress
from factflow_engine.cli.report import print_report, report_document
from factflow_engine.cli.session import Session, SessionEnd
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.signals import interruptions
from factflow_engine.config import InitMessageConfig, PipelineGlobalConfig
from factflow_engine.config.hiding import Hiding
from factflow_engine.runtime.execution.init_messages import what_is_left
from factflow_engine.runtime.execution.manager import is_execution_id
from factflow_engine.runtime.report import ExecutionReport, ExecutionStatus
from factflow_engine.seams import process_started_ns
from factflow_protocols import Begun

_DRAIN_SECONDS: Final = 10.0

_NONE_GIVEN: Final = object()
"""Marker of an omitted option whose value may be null."""


@click.command(
    "run",
    short_help="Run a pipeline to its end, in this process.",
    epilog="""\b
Examples:
  factflow run pipeline.yaml
  factflow run pipeline.yaml --set-payload '{"root": "docs"}'
  factflow run pipeline.yaml --adapters my_adapters.py --output json > report.json
  factflow run pipeline.yaml --queue sqlite:///queue.db --id nightly

Without --queue, messages live in memory and end with the process. With it they are in a file until they are done: run
the same command again after a crash, a drain or a cancellation, and it goes on where it stopped: no init message is
published again, with --set-payload neither. Once it has completed, the same command begins anew. Processes that are
started while it runs share its work.

Ctrl-C (or SIGTERM) drains: nothing new is taken, what is in the pipeline may finish within --drain-timeout. A second
one cancels at once; a third ends the process without clean-up.

\b
Exit status:
  0    it ran to its end; failed messages are counted and named, and do not change the status
  1    the execution failed: a route died, a stage could not open, more messages failed than
       orchestrator.max_failed_messages allows
  2    the configuration or an option has to be changed
  130  Ctrl-C
  143  SIGTERM""",
)
@click.argument("file", type=click.Path(path_type=Path))
@adapters_option
@output_option
@click.option(
    "--progress",
    "progress_mode",
    type=click.Choice([mode.value for mode in ProgressMode]),
    default=ProgressMode.AUTO.value,
    show_default=True,
    help="What standard error shows meanwhile; auto is live on a terminal and plain elsewhere.",
)
@click.option("--set-payload", metavar="JSON", help="Replace the payload of the pipeline's init message.")
@click.option(
    "--queue",
    "queue_url",
    metavar="URL",
    help="Keep messages in this queue, as in sqlite:///queue.db, rather than in memory.",
)
@allow_loss_option
@click.option(
    "--id",
    "execution_id",
    metavar="ID",
    help="Whose messages in the queue these are; by default the pipeline's name. Needs --queue.",
)
@click.option(
    "--drain-timeout",
    type=click.FloatRange(min=0, max=86_400),
    metavar="SECONDS",
    help="How long the first Ctrl-C lets work finish; 0 cancels at once.  [default: the configuration's "
    f"orchestrator.drain_seconds, or {_DRAIN_SECONDS:g}]",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Least level of the pipeline's own log lines.",
)
@debug_option
@click.pass_obj
def run_command(
    settings: Settings,
    *,
    file: Path,
    adapter_modules: tuple[str, ...],
    progress_mode: str,
    set_payload: str | None,
    queue_url: str | None,
    allow_loss: bool,
    execution_id: str | None,
    drain_timeout: float | None,
    log_level: str,
) -> int:
    """Run the pipeline of FILE to its end, in this process.

    Progress goes to standard error, the report to standard output, or to standard error if a stage
    writes its lines there.
    """
    payload = _NONE_GIVEN if set_payload is None else _parse_payload(set_payload)
    app = app_for(adapter_modules, queue=queue_for(queue_url), allow_loss=allow_loss)
    config = load_or_report(app, file, settings)
    if config is None:
        return ExitStatus.INVALID
    lines_on_stdout = _writes_to_standard_output(config)
    if lines_on_stdout and settings.as_json:
        raise InvalidInputError(
            f"--output json promises one JSON document on standard output, and stage {lines_on_stdout!r} writes lines to it; "
            "leave out --output json (the report then goes to standard error), or write to a file with write_jsonl"
        )
    execution_id = _execution_id(config, execution_id, outlives=app.queue is not None)
    init = None if payload is _NONE_GIVEN else (_init_message(config, payload),)
    mode = ProgressMode(progress_mode)
    with ExitStack() as stack:
        if settings.as_json or lines_on_stdout:
            # Output of adapters must not mix with the lines or the document.
            stack.enter_context(redirect_stdout(sys.stderr))
        progress = stack.enter_context(open_progress(mode, title=settings.hidden(config.name)))
        stack.enter_context(logs_through(progress, level=log_level))
        session = Session(
            open_manager=app.manager,
            config=config,
            progress=progress,
            drain_seconds=_drain_seconds(config, drain_timeout),
            init=init,
            execution_id=execution_id,
            allow_loss=allow_loss,
            asked_ns=process_started_ns() if settings.owns_process else None,
            unpublished=None if init is None else partial(_unpublished, execution_id or "", queue_url or ""),
        )
        with python_interrupts():
            end = trio.run(_interruptible, session)
        if not config.init_message and not init and end.report is not None and _is_empty(end.report):
            progress.say(
                "no message came: the pipeline has no init_message, and nothing waits in its queues; add an init_message, "
                "or publish to its routes from a program"
            )
    if settings.as_json:
        print_document(report_document(end), settings)
    else:
        print_report(end, messages() if lines_on_stdout else output())
    return _status_of(end)


def _is_empty(report: ExecutionReport) -> bool:
    """Return whether a completed execution had nothing to do."""
    done = report.status is ExecutionStatus.COMPLETED
    return done and not any(route.received or route.waiting for route in report.routes.values())


def _drain_seconds(config: PipelineGlobalConfig, asked: float | None) -> float:
    """Return the seconds that a drain gives to work: the operator's, else the configuration's; always finite."""
    for seconds in (asked, config.orchestrator.drain_seconds):
        if seconds is not None:
            return seconds
    return _DRAIN_SECONDS


def _execution_id(config: PipelineGlobalConfig, asked: str | None, *, outlives: bool) -> str | None:
    """Return the execution's id if its messages may outlive the process.

    Raises:
        InvalidInputError: The id is invalid, or useless without a queue.
    """
    if not outlives:
        if asked is not None:
            raise InvalidInputError("--id names an execution's messages in a queue: add --queue URL")
        return None
    if asked is None:
        # The id is printed and stored; a literal name is no secret, even if a variable has the same value.
        literal = config.to_mapping()["name"] == config.name
        asked = config.name if literal else Hiding(config.secrets)(config.name)
    if not is_execution_id(asked):
        raise InvalidInputError(
            f"{asked!r} cannot name an execution's messages: pass --id with 1 to 64 letters, digits, '.', '_' or '-'"
        )
    return asked


async def _interruptible(session: Session) -> SessionEnd:
    with interruptions() as signals:
        return await session.run(signals)


def _writes_to_standard_output(config: PipelineGlobalConfig) -> str | None:
    """Return the stage that writes to standard output, as `route/stage`; None if there is none."""
    for route_id, route in config.routes.items():
        for stage in route.adapters:
            path = stage.config.get("path") if stage.type == "write_jsonl" else None
            if stage.type == "write_stdout" or (isinstance(path, str) and names_standard_output(path)):
                return f"{route_id}/{stage.name}"
    return None


def _parse_payload(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidInputError(
            f'--set-payload is not JSON: {error}; quote it for the shell, as in --set-payload \'{{"path": "docs"}}\''
        ) from error


def _unpublished(execution_id: str, queue_url: str, begun: Begun) -> str:
    """Return the message for an execution that is resumed although another payload was given."""
    if begun.left:
        why = f"goes on with what it has left, {what_is_left(begun)}"
        fresh = f"drop what is left: `factflow queue forget {queue_url} --execution {execution_id}`"
    else:
        why = "was begun before and has not ended, or is running in another process, and goes on"
        fresh = "let it complete, and run this again"
    return (
        f"the payload of --set-payload was not published: execution {execution_id!r} {why}; for a fresh start pass another "
        f"--id, or {fresh}"
    )


def _init_message(config: PipelineGlobalConfig, payload: Any) -> InitMessageConfig:
    """Return the init message with another payload.

    Raises:
        InvalidInputError: The configuration does not have exactly one init message.
    """
    if len(config.init_message) != 1:
        remedy = (
            "edit their payloads in the file"
            if config.init_message
            else "add `init_message: {route: ..., payload: ...}` to it"
        )
        raise InvalidInputError(
            "--set-payload replaces the payload of the one init message, the configuration has "
            f"{len(config.init_message) or 'none'}; {remedy}"
        )
    message = config.init_message[0]
    return InitMessageConfig(route=message.route, payload=payload, headers=message.headers, key=message.key)


def _status_of(end: SessionEnd) -> ExitStatus:
    if end.interrupted_by is not None:
        return ExitStatus(128 + end.interrupted_by)
    return ExitStatus.OK if end.report and end.report.status is ExecutionStatus.COMPLETED else ExitStatus.FAILED
