"""`factflow execution dag`: the pipeline that an execution runs, drawn from its snapshot."""

from pathlib import Path
from typing import Any, Final

import click

from factflow_engine.cli.drawing import graph_of, to_dot, to_json, to_mermaid
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.home import home_option
from factflow_engine.cli.home_store import execution_of
from factflow_engine.cli.options import debug_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.streams import reserve_results, results
from factflow_engine.config import ConfigurationError
from factflow_engine.config.snapshot import written_of
from factflow_engine.executions import StoredExecution

_FORMATS: Final = {"mermaid": to_mermaid, "dot": to_dot, "json": to_json}


@click.command(
    "dag",
    short_help="Draw the pipeline that an execution runs.",
    epilog="""\b
Examples:
  factflow execution dag latest
  factflow execution dag nightly --format dot | dot -Tsvg > pipeline.svg""",
)
@click.argument("execution", metavar="ID")
@click.option(
    "--format",
    "language",
    type=click.Choice(list(_FORMATS)),
    default="mermaid",
    show_default=True,
    help="Mermaid for Markdown, DOT for Graphviz, JSON for programs.",
)
@home_option
@debug_option
@click.pass_obj
def dag_command(settings: Settings, *, execution: str, language: str, home: Path | None) -> None:
    """Draw the routes, queues and conditions of execution ID, as its snapshot has them.

    Nothing is imported, and the environment is not read: references stand as `${NAME}`.
    """
    reserve_results(owns_process=settings.owns_process)  # a program reads the drawing
    found = execution_of(home, execution)
    click.echo(_FORMATS[language](graph_of(_written(found))), file=results(), nl=False)


def _written(found: StoredExecution) -> dict[str, Any]:
    try:
        return written_of(found.snapshot, f"snapshot of {found.id}")
    except ConfigurationError as error:
        raise InvalidInputError(f"execution {found.id} cannot be drawn: {error}") from error
