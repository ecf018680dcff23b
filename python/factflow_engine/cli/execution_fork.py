"""`factflow execution fork`: a replay with a changed configuration."""

from pathlib import Path

import click

from factflow_engine.cli.building import app_for
from factflow_engine.cli.execution_replay import replay_options
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.findings import load_or_report
from factflow_engine.cli.options import adapters_option, debug_option, table_output_option
from factflow_engine.cli.replaying import Wanted, run_replay
from factflow_engine.cli.run_options import RunCommand, RunOptions, run_options
from factflow_engine.cli.settings import Settings


@click.command(
    "fork",
    cls=RunCommand,
    short_help="Replay with a changed configuration.",
    epilog="""\b
Examples:
  factflow execution fork latest --from-stage parse --config changed.yaml --dry-run
  factflow execution fork latest --from-stage parse --config changed.yaml
  factflow execution fork latest --from-stage parse --config other.yaml --to-route embed

The other options, signals and exit statuses are those of `factflow run`.""",
)
@click.argument("execution", metavar="ID")
@click.option(
    "--config", "file", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The pipeline that runs."
)
@replay_options
@adapters_option
@table_output_option
@run_options
@debug_option
@click.pass_obj
def fork_command(
    settings: Settings,
    *,
    execution: str,
    file: Path,
    from_stage: str,
    from_route: str | None,
    to_route: str | None,
    is_dry: bool,
    adapter_modules: tuple[str, ...],
    options: RunOptions,
) -> int:
    """Run what follows a stage in the pipeline of FILE, from what that stage of execution ID has stored.

    The pipeline must have a route and a stage of the same names, or the route that --to-route names.
    """
    app = app_for(adapter_modules, queue=options.queue, allow_loss=options.allow_loss)
    config = load_or_report(app, file, settings)
    if config is None:
        return ExitStatus.INVALID
    wanted = Wanted(execution, from_stage, from_route, to_route)
    return run_replay(settings, app, options, wanted, config=config, is_dry=is_dry)
