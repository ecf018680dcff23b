"""`factflow graph`: a pipeline's routes and queues, for Mermaid or Graphviz."""

from pathlib import Path
from typing import Final

import click

from factflow_engine.cli.building import app_for
from factflow_engine.cli.drawing import graph_of, to_dot, to_mermaid
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.findings import load_or_report
from factflow_engine.cli.options import adapters_option, debug_option, no_imports_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.streams import reserve_results, results

_FORMATS: Final = {"mermaid": to_mermaid, "dot": to_dot}


@click.command(
    "graph",
    short_help="Draw a pipeline's routes and queues.",
    epilog="""\b
Examples:
  factflow graph pipeline.yaml
  factflow graph pipeline.yaml --format dot | dot -Tsvg > pipeline.svg""",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "language",
    type=click.Choice(list(_FORMATS)),
    default="mermaid",
    show_default=True,
    help="Mermaid for Markdown, DOT for Graphviz.",
)
@adapters_option
@no_imports_option
@debug_option
@click.pass_obj
def graph_command(
    settings: Settings, *, file: Path, language: str, adapter_modules: tuple[str, ...], no_imports: bool
) -> int:
    """Draw the pipeline of FILE: routes with their stages, queues, topics, the init message.

    Edges show the conditions of outbounds; dashed edges carry dead letters. Plug-ins, modules of --adapters and functions
    of call are imported, which runs their code, unless --no-imports is given.
    """
    reserve_results(owns_process=settings.owns_process)  # a program reads the drawing
    app = app_for(adapter_modules, imports=not no_imports)
    config = load_or_report(app, file, settings, imports=not no_imports)
    if config is None:
        return ExitStatus.INVALID
    click.echo(_FORMATS[language](graph_of(config.to_mapping())), file=results(), nl=False)
    return ExitStatus.OK
