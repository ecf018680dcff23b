"""`factflow run`: run a pipeline to its end in this process."""

from pathlib import Path

import click

from factflow_engine.cli.building import app_for
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.findings import load_or_report
from factflow_engine.cli.options import adapters_option, debug_option, table_output_option
from factflow_engine.cli.run_input import parsed_payload, replaced_init_message
from factflow_engine.cli.run_options import RunCommand, RunOptions, run_options
from factflow_engine.cli.running import run_pipeline
from factflow_engine.cli.settings import Settings


@click.command(
    "run",
    cls=RunCommand,
    short_help="Run a pipeline to its end, in this process.",
    epilog="""\b
Examples:
  factflow run pipeline.yaml
  factflow run pipeline.yaml --set-payload '{"root": "docs"}'
  factflow run pipeline.yaml --adapters my_adapters.py --output json > report.json
  factflow run pipeline.yaml --queue sqlite:///queue.db --id nightly
  factflow run pipeline.yaml --queue sqlite:///queue.db --forever
  factflow run pipeline.yaml --fail-on-failed || alert
  factflow run pipeline.yaml --record monday.test.yaml

Without --queue, messages live in memory and end with the process. With it they are in a file until they are done: run
the same command again after a crash, a drain or a cancellation, and it goes on where it stopped: no init message is
published again, with --set-payload neither. Once it has completed, the same command begins anew. Processes that are
started while it runs share its work.

Ctrl-C (or SIGTERM) drains: nothing new is taken, what is in the pipeline may finish within --drain-timeout. A second
one cancels at once; a third ends the process without clean-up.

With --forever nothing but a signal ends the run, which then drains: messages that `factflow publish` or other programs
put into its queues are processed as they arrive.

The run is recorded in the home if there is one, or if --home, --tag, --metadata or --idempotency-key is given:
`factflow execution list` shows it, also while it runs. A new home is made where it is named.

What adapters print goes to standard output; with --output json or plain to standard error, as does what their child
processes print. With --output plain only the rows of routes are on standard output.

\b
Exit status:
  0    it ran to its end; failed messages are counted and named, and do not change the status by themselves
  1    the execution failed: a route died, a stage could not open, more messages failed than
       orchestrator.max_failed_messages allows
  2    the configuration or an option has to be changed
  3    with --fail-on-failed N: it ran to its end, and N or more messages failed or were dead-lettered
  7    it ran to its end, and the home could not store that, so that the run will show as interrupted
  130  Ctrl-C
  143  SIGTERM""",
)
@click.argument("file", type=click.Path(path_type=Path))
@adapters_option
@table_output_option
@click.option("--set-payload", metavar="JSON", help="Replace the payload of the pipeline's init message.")
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the run as a test: its inputs, what each stage answered, what came out. Run it with `factflow test FILE`.",
)
@run_options
@debug_option
@click.pass_obj
def run_command(
    settings: Settings,
    *,
    file: Path,
    adapter_modules: tuple[str, ...],
    set_payload: str | None,
    record: Path | None,
    options: RunOptions,
) -> int:
    """Run the pipeline of FILE to its end, in this process.

    Progress goes to standard error, the report to standard output, or to standard error if a stage
    writes its lines there.
    """
    payload = () if set_payload is None else (parsed_payload("--set-payload", set_payload),)
    app = app_for(adapter_modules, queue=options.queue, allow_loss=options.allow_loss)
    config = load_or_report(app, file, settings)
    if config is None:
        return ExitStatus.INVALID
    init = [replaced_init_message(config, one) for one in payload] or None
    return run_pipeline(settings, app, config, options, init=init, recorded_to=record)
