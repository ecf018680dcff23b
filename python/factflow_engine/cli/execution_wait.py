"""`factflow execution wait`: wait until an execution has ended."""

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
from factflow_engine.cli.text import clean
from factflow_engine.executions import Executions, ExecutionSummary
from factflow_engine.runtime.report import ExecutionStatus

STATUSES = {
    ExecutionStatus.COMPLETED: ExitStatus.OK,
    ExecutionStatus.FAILED: ExitStatus.FAILED,
    ExecutionStatus.CANCELLED: ExitStatus.CANCELLED,
    ExecutionStatus.INTERRUPTED: ExitStatus.DIED,
    ExecutionStatus.RUNNING: ExitStatus.STILL_RUNNING,
}


@click.command(
    "wait",
    short_help="Wait until an execution has ended.",
    epilog="""\b
Examples:
  factflow execution wait latest
  factflow execution wait nightly --timeout 3600 || alert

\b
Exit status:
  0    it completed
  1    it failed
  2    there is no such execution
  4    it was cancelled
  5    it was interrupted: its process died
  6    it still ran after --timeout
  130  Ctrl-C; the execution goes on""",
)
@click.argument("execution", metavar="ID")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Longest wait; by default none.")
@home_option
@output_option
@debug_option
@click.pass_obj
def wait_command(settings: Settings, *, execution: str, timeout: float | None, home: Path | None) -> int:
    """Wait until execution ID has ended, whatever process runs it, and say how.

    Looks four times a second.
    """

    async def wait(executions: Executions) -> ExecutionSummary:
        found = (await executions.store.execution(execution)).id
        with trio.move_on_after(float("inf") if timeout is None else timeout):
            return await executions.wait(found)
        return await executions.store.status(found)

    ended = in_store(existing(home_of(home)), wait)
    status = STATUSES[ended.status]
    if settings.as_json:
        print_document({**execution_document(ended), "exit_status": int(status)}, settings)
    else:
        error = f": {clean(ended.error)}" if ended.error else ""
        click.echo(f"{ended.id} {ended.status}{error}", file=results())
    return status
