"""`factflow execution cancel`: cancel an execution that any process runs."""

from pathlib import Path

import click
import trio

from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.home import existing, home_of, home_option
from factflow_engine.cli.home_store import in_store
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.stored import execution_document
from factflow_engine.cli.streams import results
from factflow_engine.executions import Executions, ExecutionSummary
from factflow_engine.runtime.report import ExecutionStatus


@click.command(
    "cancel",
    short_help="Cancel an execution, whatever process runs it.",
    epilog="""\b
Examples:
  factflow execution cancel latest
  factflow execution cancel nightly --grace 30 --no-wait

Exit status: 0 cancelled, or asked to with --no-wait, or settled; 1 it had ended before, or still runs after --timeout.""",
)
@click.argument("execution", metavar="ID")
@click.option(
    "--grace",
    type=click.FloatRange(0, 86_400),
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="Time that messages in flight have to end.",
)
@click.option("--wait/--no-wait", "waits", default=True, help="Wait for the end; it is asked for either way.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Longest wait beyond the grace.",
)
@home_option
@output_option
@debug_option
@click.pass_obj
def cancel_command(
    settings: Settings, *, execution: str, grace: float, waits: bool, timeout: float, home: Path | None
) -> int:
    """Ask the process that runs execution ID to cancel it, and wait for the end.

    The request is stored; the process looks for one about once a second. The record of an execution whose process has died is
    settled at once: it is `cancelled` from then on.
    """

    async def cancel(executions: Executions) -> tuple[ExecutionStatus, ExecutionSummary, ExecutionSummary]:
        before = await executions.store.execution(execution)
        found = before.id
        asked = await executions.store.request_cancel(found, grace_seconds=grace)
        ended = asked
        if waits and asked.status is ExecutionStatus.RUNNING:
            with trio.move_on_after(grace + timeout) as scope:
                ended = await executions.wait(found)
            if scope.cancelled_caught:
                ended = await executions.store.status(found)
        return before.status, asked, ended

    before, asked, ended = in_store(existing(home_of(home)), cancel)
    was_running = asked.status is ExecutionStatus.RUNNING
    is_settled = before is ExecutionStatus.INTERRUPTED and asked.status is ExecutionStatus.CANCELLED
    done = is_settled or (was_running and (not waits or ended.status is ExecutionStatus.CANCELLED))
    status = ExitStatus.OK if done else ExitStatus.FAILED
    if settings.as_json:
        print_document({**execution_document(ended), "was_running": was_running, "exit_status": int(status)}, settings)
        return status
    state = "is asked to cancel" if ended.status is ExecutionStatus.RUNNING else str(ended.status)
    if is_settled:
        state = f"was interrupted, and is settled: {ended.status}"
    elif not was_running:
        state = f"had ended before: {ended.status}"
    click.echo(f"{ended.id} {state}", file=results())
    return status
