"""`factflow bench`: comparisons that need no pipeline."""

from typing import Final

import click

from factflow_engine.cli.lazy import LazyCommand, LazyGroup

_COMMANDS: Final = {
    "limits": LazyCommand(
        target="factflow_engine.cli.bench_limits:limits_command",
        summary="Compare the algorithms of concurrency limits.",
    ),
}


@click.group("bench", cls=LazyGroup, commands_by_name=_COMMANDS, short_help="Compare algorithms by simulation.")
def bench_group() -> None:
    """Compare algorithms by simulation, in virtual time."""
