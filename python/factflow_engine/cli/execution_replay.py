"""`factflow execution replay`: a new execution from what a stage has stored."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from factflow_engine.cli.building import app_for
from factflow_engine.cli.options import adapters_option, debug_option, table_output_option
from factflow_engine.cli.replaying import Wanted, run_replay
from factflow_engine.cli.run_options import RunCommand, RunOptions, run_options
from factflow_engine.cli.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


def replay_options(command: F) -> F:
    """Add the options that choose the objects, and `--dry-run`."""
    for option in (
        click.option("--dry-run", "is_dry", is_flag=True, help="Say what would be published and run; publish nothing."),
        click.option(
            "--to-route", metavar="ROUTE", help="Route that gets the messages; by default what follows the stage."
        ),
        click.option(
            "--from-route",
            metavar="ROUTE",
            help="The stage's route; needed if several routes have a stage of that name.",
        ),
        click.option("--from-stage", required=True, metavar="STAGE", help="Stage whose stored messages are published."),
    ):
        command = option(command)
    return command


@click.command(
    "replay",
    cls=RunCommand,
    short_help="Run again what follows a stage, from what it has stored.",
    epilog="""\b
Examples:
  factflow execution replay latest --from-stage parse --dry-run
  factflow execution replay latest --from-stage parse
  factflow execution replay nightly --from-stage fetch --to-route parse --tag again

The other options, signals and exit statuses are those of `factflow run`.""",
)
@click.argument("execution", metavar="ID")
@replay_options
@adapters_option
@table_output_option
@run_options
@debug_option
@click.pass_obj
def replay_command(
    settings: Settings,
    *,
    execution: str,
    from_stage: str,
    from_route: str | None,
    to_route: str | None,
    is_dry: bool,
    adapter_modules: tuple[str, ...],
    options: RunOptions,
) -> int:
    """Run again what followed a stage of execution ID, as a new execution, from what that stage has stored.

    What runs is what ID ran, from its snapshot: the stages behind the stage, and the routes that they lead to. If the
    stage stored what came to it, the stage itself runs, too. Every object is read before anything is published.
    """
    app = app_for(adapter_modules, queue=options.queue, allow_loss=options.allow_loss)
    wanted = Wanted(execution, from_stage, from_route, to_route)
    return run_replay(settings, app, options, wanted, config=None, is_dry=is_dry)
