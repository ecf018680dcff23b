"""`factflow config run`: run a configuration of the home to its end in this process."""

import click

from factflow_engine.cli.building import app_for
from factflow_engine.cli.console import messages
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.findings import findings_document, print_findings, summary
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.home import existing
from factflow_engine.cli.home_store import in_store
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import adapters_option, debug_option, table_output_option
from factflow_engine.cli.run_input import parsed_payload, replaced_init_message
from factflow_engine.cli.run_options import RunCommand, RunOptions, run_options
from factflow_engine.cli.running import run_pipeline
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.stored import checked_config
from factflow_engine.cli.text import clean
from factflow_engine.config import InitMessageConfig
from factflow_engine.config.hiding import Hiding
from factflow_engine.executions import Executions, StoredConfig


@click.command(
    "run",
    cls=RunCommand,
    short_help="Run a configuration of the home to its end.",
    epilog="""\b
Examples:
  factflow config run nightly
  factflow config run nightly --payload '{"root": "docs"}' --tag manual
  factflow config run nightly --idempotency-key 2026-11-30

Options, signals and exit statuses are those of `factflow run`.""",
)
@click.argument("name")
@click.option("--version", type=click.IntRange(min=1), help="Version; by default the latest.")
@adapters_option
@table_output_option
@click.option("--payload", metavar="JSON", help="Replace the payload of the pipeline's init message.")
@click.option("--skip-init", is_flag=True, help="Publish no init message.")
@run_options
@debug_option
@click.pass_obj
def run_command(
    settings: Settings,
    *,
    name: str,
    version: int | None,
    adapter_modules: tuple[str, ...],
    payload: str | None,
    skip_init: bool,
    options: RunOptions,
) -> int:
    """Run the configuration NAME to its end, in this process, and record it in the home.

    What runs is this version, whatever is edited meanwhile. One that has errors by now, or is inactive, is refused.
    """
    if payload is not None and skip_init:
        raise InvalidInputError("--payload replaces the init message, and --skip-init publishes none; leave one out")
    given = () if payload is None else (parsed_payload("--payload", payload),)

    async def look(executions: Executions) -> StoredConfig:
        return await executions.store.config(name, version=version)

    stored = in_store(existing(options.home), look)
    if not stored.active:
        raise InvalidInputError(
            f"configuration {stored.name!r} is inactive; allow running it with `factflow config edit {stored.name} --activate`"
        )
    app = app_for(adapter_modules, queue=options.queue, allow_loss=options.allow_loss)
    result = checked_config(app, stored)
    if result.config is not None:
        settings.hidden = Hiding(result.config.secrets)
    print_findings(result, messages())
    if result.config is None or not result.is_valid:
        click.echo(f"factflow: {clean(stored.name)} cannot be run: {summary(result.findings)}", err=True)
        if settings.as_json:
            print_document({"status": "invalid", "findings": findings_document(result.findings)}, settings)
        return ExitStatus.INVALID
    init: list[InitMessageConfig] | None = [replaced_init_message(result.config, one) for one in given] or None
    return run_pipeline(
        settings,
        app,
        result.config,
        options,
        init=[] if skip_init else init,
        config_id=stored.id,
        config_version=stored.version,
    )
