"""`factflow execution`: what ran and what runs, as the home has recorded it, and runs of it again."""

from typing import Final

import click

from factflow_engine.cli.lazy import LazyCommand, LazyGroup

_COMMANDS: Final = {
    "list": LazyCommand(
        target="factflow_engine.cli.execution_list:list_command",
        summary="List recorded executions, the latest first.",
    ),
    "get": LazyCommand(
        target="factflow_engine.cli.execution_get:get_command",
        summary="Show an execution and its report.",
    ),
    "wait": LazyCommand(
        target="factflow_engine.cli.execution_wait:wait_command",
        summary="Wait until an execution has ended.",
    ),
    "cancel": LazyCommand(
        target="factflow_engine.cli.execution_cancel:cancel_command",
        summary="Cancel an execution, whatever process runs it.",
    ),
    "replay": LazyCommand(
        target="factflow_engine.cli.execution_replay:replay_command",
        summary="Run again what follows a stage, from what it has stored.",
    ),
    "fork": LazyCommand(
        target="factflow_engine.cli.execution_fork:fork_command",
        summary="Replay with a changed configuration.",
    ),
    "recover": LazyCommand(
        target="factflow_engine.cli.execution_recover:recover_command",
        summary="Go on with an execution whose process died.",
    ),
    "stats": LazyCommand(
        target="factflow_engine.cli.execution_stats:stats_command",
        summary="Print the counts of an execution, live or final.",
    ),
    "routes": LazyCommand(
        target="factflow_engine.cli.execution_routes:routes_command",
        summary="Print the routes of an execution, live or final.",
    ),
    "dag": LazyCommand(
        target="factflow_engine.cli.execution_dag:dag_command",
        summary="Draw the pipeline that an execution runs.",
    ),
}


@click.group(
    "execution",
    cls=LazyGroup,
    commands_by_name=_COMMANDS,
    short_help="Show, wait for, cancel, replay and recover recorded executions.",
)
def execution_group() -> None:
    """Show, wait for, cancel, replay and recover the executions that the home has recorded.

    ID is an execution's id, an unambiguous beginning of it, its tag, the --id that it was run with, or `latest`.
    """
