"""`factflow run`: run a pipeline to its end in this process."""

import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, redirect_stdout
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Final

import click
import trio

from factflow_engine.adapters.builtin._special_files import names_standard_output
from factflow_engine.app import App
from factflow_engine.cli.building import app_for, queue_for
from factflow_engine.cli.console import messages, output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.findings import load_or_report
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.interrupts import python_interrupts
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.latency_file import LatencyFile
from factflow_engine.cli.logs import logs_through
from factflow_engine.cli.options import adapters_option, allow_loss_option, debug_option, table_output_option
from factflow_engine.cli.progress import ProgressMode, open_progress
from factflow_engine.cli.report import print_report, report_document
from factflow_engine.cli.run_end import empty_notice, failure_notice, status_of
from factflow_engine.cli.run_input import (
    DRAIN_SECONDS,
    drain_seconds,
    durable_id,
    parsed_payload,
    replaced_init_message,
)
from factflow_engine.cli.session import Session, SessionEnd
from factflow_engine.cli.settings import Layout, Settings
from factflow_engine.cli.signals import interruptions
from factflow_engine.cli.text import clean
from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.runtime.execution.init_messages import what_is_left
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.seams import process_started_ns
from factflow_protocols import Begun, QueueProtocol

_NONE_GIVEN: Final = object()
"""Marker of an omitted option whose value may be null."""


class _RunCommand(click.Command):
    """Command whose option `--fail-on-failed` takes its number only if one follows."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click, which would take whatever follows for the number: the pipeline's file, for example."""
        options = list(takewhile("--".__ne__, args))
        for place, following in enumerate([*options[1:], ""]):
            if options[place] == "--fail-on-failed" and not following.isdecimal():
                options[place] += "=1"
        return super().parse_args(ctx, options + args[len(options) :])


@click.command(
    "run",
    cls=_RunCommand,
    short_help="Run a pipeline to its end, in this process.",
    epilog="""\b
Examples:
  factflow run pipeline.yaml
  factflow run pipeline.yaml --set-payload '{"root": "docs"}'
  factflow run pipeline.yaml --adapters my_adapters.py --output json > report.json
  factflow run pipeline.yaml --queue sqlite:///queue.db --id nightly
  factflow run pipeline.yaml --queue sqlite:///queue.db --forever
  factflow run pipeline.yaml --fail-on-failed || alert

Without --queue, messages live in memory and end with the process. With it they are in a file until they are done: run
the same command again after a crash, a drain or a cancellation, and it goes on where it stopped: no init message is
published again, with --set-payload neither. Once it has completed, the same command begins anew. Processes that are
started while it runs share its work.

Ctrl-C (or SIGTERM) drains: nothing new is taken, what is in the pipeline may finish within --drain-timeout. A second
one cancels at once; a third ends the process without clean-up.

With --forever nothing but a signal ends the run, which then drains: messages that `factflow publish` or other programs
put into its queues are processed as they arrive.

What adapters print goes to standard output; with --output json or plain to standard error, as does what their child
processes print. With --output plain only the rows of routes are on standard output.

\b
Exit status:
  0    it ran to its end; failed messages are counted and named, and do not change the status by themselves
  1    the execution failed: a route died, a stage could not open, more messages failed than
       orchestrator.max_failed_messages allows
  2    the configuration or an option has to be changed
  3    with --fail-on-failed N: it ran to its end, and N or more messages failed or were dead-lettered
  130  Ctrl-C
  143  SIGTERM""",
)
@click.argument("file", type=click.Path(path_type=Path))
@adapters_option
@table_output_option
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
    f"orchestrator.drain_seconds, or {DRAIN_SECONDS:g}]",
)
@click.option("--forever", is_flag=True, help="Wait for more messages until a signal arrives. Needs --queue.")
@click.option(
    "--fail-on-failed",
    type=click.IntRange(min=1),
    is_flag=False,
    flag_value=1,
    metavar="[N]",
    help="Exit with status 3 if N or more messages failed or were dead-lettered; N is 1 if left out. To end the run "
    "early, set orchestrator.max_failed_messages.",
)
@click.option(
    "--record-latency",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write how long each call of an adapter took, a line of JSON each, for `factflow bench limits --trace FILE`.",
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
    forever: bool,
    fail_on_failed: int | None,
    record_latency: Path | None,
    log_level: str,
) -> int:
    """Run the pipeline of FILE to its end, in this process.

    Progress goes to standard error, the report to standard output, or to standard error if a stage
    writes its lines there.
    """
    payload = _NONE_GIVEN if set_payload is None else parsed_payload("--set-payload", set_payload)
    queue = queue_for(queue_url)
    _check_options(queue, execution_id, forever=forever)
    app = app_for(adapter_modules, queue=queue, allow_loss=allow_loss)
    config = load_or_report(app, file, settings)
    if config is None:
        return ExitStatus.INVALID
    lines_on_stdout = _writes_to_standard_output(config)
    plain = settings.layout is Layout.PLAIN
    if lines_on_stdout and (settings.as_json or plain):
        kind, promised = ("plain", "the rows of routes") if plain else ("json", "one JSON document")
        raise InvalidInputError(
            f"--output {kind} promises {promised} on standard output, and stage {lines_on_stdout!r} writes lines to it; leave "
            f"out --output {kind} (the report then goes to standard error), or write to a file with write_jsonl"
        )
    execution_id = None if queue is None else durable_id(config, execution_id)
    init = None if payload is _NONE_GIVEN else (replaced_init_message(config, payload),)
    latencies = None if record_latency is None else LatencyFile(record_latency)
    mode = ProgressMode(progress_mode)
    with ExitStack() as stack:
        if lines_on_stdout:
            # Output of adapters must not mix with the lines.
            stack.enter_context(redirect_stdout(sys.stderr))
        progress = stack.enter_context(open_progress(mode, title=settings.hidden(config.name)))
        stack.enter_context(logs_through(progress, level=log_level))
        session = Session(
            open_manager=app.manager if latencies is None else partial(_recording, app, latencies),
            config=config,
            progress=progress,
            drain_seconds=drain_seconds(config, drain_timeout),
            forever=forever,
            init=init,
            execution_id=execution_id,
            allow_loss=allow_loss,
            asked_ns=process_started_ns() if settings.owns_process else None,
            unpublished=None if init is None else partial(_unpublished, execution_id or "", queue_url or ""),
        )
        with python_interrupts():
            end = trio.run(_interruptible, session)
        nothing_came = None if config.init_message or init else empty_notice(end, durable=queue is not None)
        if nothing_came is not None:
            progress.say(nothing_came)
        if latencies is not None and latencies.notice is not None:
            progress.say(latencies.notice)
    status = status_of(end, fail_on_failed=fail_on_failed, forever=forever)
    if settings.as_json:
        print_document({**report_document(end), "exit_status": int(status)}, settings)
    else:
        rows = messages() if lines_on_stdout else output()
        print_report(end, messages() if plain else rows, layout=settings.layout, rows=rows)
    _say_last(failure_notice(end, status))
    return status


def _check_options(queue: QueueProtocol | None, execution_id: str | None, *, forever: bool) -> None:
    """Refuse options that need a queue.

    Raises:
        InvalidInputError: There is none, or one that does not outlive the process.
    """
    if execution_id is not None and queue is None:
        raise InvalidInputError("--id names an execution's messages in a queue: add --queue URL")
    if forever and (queue is None or not queue.outlives_process):
        raise InvalidInputError(
            "--forever waits for messages of other programs, and none can reach queues in memory: add --queue "
            "sqlite:///queue.db, or leave out --forever"
        )


def _say_last(line: str | None) -> None:
    """Print the last line of a run, after the report."""
    if line is not None:
        output().file.flush()  # the report, in case both go to the same place
        click.echo(f"factflow: {clean(line)}", err=True)


async def _interruptible(session: Session) -> SessionEnd:
    with interruptions() as signals:
        return await session.run(signals)


@asynccontextmanager
async def _recording(app: App, latencies: LatencyFile) -> AsyncIterator[OrchestratorManager]:
    """Open the manager of a run whose calls are recorded; what is recorded is written until it is closed."""
    async with latencies.writing(), app.manager(calls=latencies) as manager:
        yield manager


def _writes_to_standard_output(config: PipelineGlobalConfig) -> str | None:
    """Return the stage that writes to standard output, as `route/stage`; None if there is none."""
    for route_id, route in config.routes.items():
        for stage in route.adapters:
            path = stage.config.get("path") if stage.type == "write_jsonl" else None
            if stage.type == "write_stdout" or (isinstance(path, str) and names_standard_output(path)):
                return f"{route_id}/{stage.name}"
    return None


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
