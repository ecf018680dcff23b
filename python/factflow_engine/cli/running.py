"""Running of a loaded pipeline for an operator: display, signals, record, report, exit status.

Kept separate from the commands `run` and `config run`, which differ only in where the pipeline comes from.
"""

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import trio

from factflow_engine.adapters.builtin._special_files import names_standard_output
from factflow_engine.app import App, StoreUrls
from factflow_engine.cli.console import messages, output
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.home import made, operators_errors
from factflow_engine.cli.interrupts import python_interrupts
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.latency_file import LatencyFile
from factflow_engine.cli.logs import logs_through
from factflow_engine.cli.progress import open_progress
from factflow_engine.cli.report import print_report, report_document
from factflow_engine.cli.run_end import empty_notice, failure_notice, status_of
from factflow_engine.cli.run_input import drain_seconds, durable_id
from factflow_engine.cli.run_options import RunOptions
from factflow_engine.cli.session import Session, SessionEnd, Starter
from factflow_engine.cli.settings import Layout, Settings
from factflow_engine.cli.signals import interruptions
from factflow_engine.cli.text import clean
from factflow_engine.config import InitMessageConfig, PipelineGlobalConfig
from factflow_engine.error_texts import sole_cause
from factflow_engine.executions.home import Home
from factflow_engine.runtime.execution.init_messages import what_is_left
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.seams import process_started_ns
from factflow_protocols import Begun

if TYPE_CHECKING:
    from factflow_engine.cli.config_tests.recording import RunRecording
    from factflow_engine.cli.launch import Launch
    from factflow_engine.cli.run_record import Recorder


def run_pipeline(
    settings: Settings,
    app: App,
    config: PipelineGlobalConfig,
    options: RunOptions,
    *,
    init: Sequence[InitMessageConfig] | None = None,
    config_id: str | None = None,
    config_version: int | None = None,
    launch: "Launch | None" = None,
    recorded_to: Path | None = None,
) -> int:
    """Run a pipeline to its end, print its report, and return the exit status.

    Args:
        settings: Settings of the invocation.
        app: Engine with the pipeline's adapters and queue.
        config: The pipeline.
        options: What the operator asked for.
        init: Init messages, if not those of the pipeline.
        config_id: Stored configuration that it is; None if it comes from a file.
        config_version: Version of that.
        launch: How it starts, if it is a replay or a recovery.
        recorded_to: File that the run is written to as a test; None for none.

    Raises:
        InvalidInputError: The options and the pipeline contradict each other.
    """
    lines_on_stdout = _writes_to_standard_output(config)
    plain = settings.layout is Layout.PLAIN
    if lines_on_stdout and (settings.as_json or plain):
        kind, promised = ("plain", "the rows of routes") if plain else ("json", "one JSON document")
        raise InvalidInputError(
            f"--output {kind} promises {promised} on standard output, and stage {lines_on_stdout!r} writes lines to it; leave "
            f"out --output {kind} (the report then goes to standard error), or write to a file with write_jsonl"
        )
    recording = None if recorded_to is None else _recording(app, config, options, recorded_to)
    app = app if recording is None else recording.app
    execution_id = None if options.queue is None or launch is not None else durable_id(config, options.execution_id)
    latencies = None if options.record_latency is None else LatencyFile(options.record_latency)
    home = _home_of_run(app, config, options, is_stored=config_id is not None or launch is not None)
    recorder = (
        None
        if home is None
        else _recorder(home, options, config_id=config_id, config_version=config_version, launch=launch)
    )
    stores = None
    if home is not None:
        stores = StoreUrls(
            storage=home.objects_url if app.needs_storage(config) else None,
            lineage=home.lineage_url if app.needs_lineage(config) else None,
        )
    with ExitStack() as stack:
        if lines_on_stdout:
            # Output of adapters must not mix with the lines.
            stack.enter_context(redirect_stdout(sys.stderr))
        progress = stack.enter_context(open_progress(options.progress, title=settings.hidden(config.name)))
        stack.enter_context(logs_through(progress, level=options.log_level))
        open_manager: Callable[[], AbstractAsyncContextManager[Starter]]
        open_manager = (
            partial(app.manager, stores=stores) if latencies is None else partial(_measuring, app, latencies, stores)
        )
        session = Session(
            open_manager=open_manager if recorder is None else partial(recorder.opened, open_manager, progress),
            config=config,
            progress=progress,
            drain_seconds=drain_seconds(config, options.drain_timeout),
            forever=options.forever,
            init=init,
            execution_id=execution_id,
            allow_loss=options.allow_loss,
            asked_ns=process_started_ns() if settings.owns_process else None,
            unpublished=None if not init else partial(_unpublished, execution_id or "", options.queue_url or ""),
        )
        try:
            with operators_errors(), python_interrupts():
                end = trio.run(_interruptible, session)
        except Exception as error:
            if recorder is None or not recorder.began_before(sole_cause(error)):
                raise
            return recorder.report_earlier(settings)
        nothing_came = (
            None
            if config.init_message or init or launch is not None
            else empty_notice(end, durable=options.queue is not None)
        )
        if nothing_came is not None:
            progress.say(nothing_came)
        if latencies is not None and latencies.notice is not None:
            progress.say(latencies.notice)
    status = status_of(
        end,
        fail_on_failed=options.fail_on_failed,
        forever=options.forever,
        is_recorded=recorder is None or not recorder.problems,
    )
    if settings.as_json:
        record = {} if recorder is None else {"record": recorder.id}
        print_document({**report_document(end), **record, "exit_status": int(status)}, settings)
    else:
        rows = messages() if lines_on_stdout else output()
        print_report(end, messages() if plain else rows, layout=settings.layout, rows=rows)
    _say_last(failure_notice(end, status))
    if recording is not None:
        _say_last(recording.end(end))
    return status


def _home_of_run(app: App, config: PipelineGlobalConfig, options: RunOptions, *, is_stored: bool) -> Home | None:
    """Return the home that a run is recorded in, made if need be; None if nothing asks for one, and there is none.

    Raises:
        InvalidInputError: The home cannot be one.
    """
    needs_it = is_stored or options.asks_for_a_record or app.needs_storage(config) or app.needs_lineage(config)
    return made(options.home) if needs_it or options.home.exists() else None


def _recorder(
    home: Home,
    options: RunOptions,
    *,
    config_id: str | None,
    config_version: int | None,
    launch: "Launch | None",
) -> "Recorder":
    from factflow_engine.cli.run_record import Recorder  # noqa: PLC0415 - late: most runs are not recorded

    return Recorder(
        home,
        tag=options.tag,
        metadata=options.metadata,
        idempotency_key=options.idempotency_key,
        config_id=config_id,
        config_version=config_version,
        launch=launch,
    )


def _recording(app: App, config: PipelineGlobalConfig, options: RunOptions, path: Path) -> "RunRecording":
    from factflow_engine.cli.config_tests.recording import RunRecording  # noqa: PLC0415 - late: most runs are no tests

    if options.queue is not None:
        raise InvalidInputError(
            "--record records what leaves a pipeline whose queues are in memory; leave out --queue, or --record"
        )
    return RunRecording(app, config, path)


def _say_last(line: str | None) -> None:
    """Print the last line of a run, after the report."""
    if line is not None:
        output().file.flush()  # the report, in case both go to the same place
        click.echo(f"factflow: {clean(line)}", err=True)


async def _interruptible(session: Session) -> SessionEnd:
    with interruptions() as signals:
        return await session.run(signals)


@asynccontextmanager
async def _measuring(app: App, latencies: LatencyFile, stores: StoreUrls | None) -> AsyncIterator[OrchestratorManager]:
    """Open the manager of a run whose calls are recorded; what is recorded is written until it is closed."""
    async with latencies.writing(), app.manager(calls=latencies, stores=stores) as manager:
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
