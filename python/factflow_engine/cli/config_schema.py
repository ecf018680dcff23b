"""`factflow config schema`: the JSON Schema from which editors complete and check configurations."""

import click

from factflow_engine.cli.building import app_for
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import adapters_option, debug_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.streams import reserve_results
from factflow_engine.config import config_schema


@click.command(
    "schema",
    short_help="Print the JSON Schema of configurations.",
    epilog="""\b
Examples:
  factflow config schema > factflow.schema.json
  factflow config schema --adapters my_adapters.py > factflow.schema.json
  factflow config schema --tests > factflow-tests.schema.json

\b
Then, as the first line of a configuration, for editors with the YAML language server:
  # yaml-language-server: $schema=factflow.schema.json""",
)
@adapters_option
@click.option(
    "--tests", "of_tests", is_flag=True, help="Print the schema of files of tests instead; see `factflow test`."
)
@debug_option
@click.pass_obj
def schema_command(settings: Settings, *, adapter_modules: tuple[str, ...], of_tests: bool) -> int:
    """Print the JSON Schema (draft 2020-12) of configurations, with the config of every adapter type that is known."""
    reserve_results(owns_process=settings.owns_process)
    if of_tests:
        from factflow_engine.cli.config_tests.schema import schema_of_tests  # noqa: PLC0415 - late: it imports the kit

        print_document(schema_of_tests(), settings)
        return ExitStatus.OK
    print_document(config_schema(app_for(adapter_modules).registry), settings)
    return ExitStatus.OK
