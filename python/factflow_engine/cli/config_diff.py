"""`factflow config diff`: messages that two versions of a pipeline treat differently."""

from pathlib import Path

import click
from rich.text import Text

from factflow_engine.analysis import differences
from factflow_engine.cli.building import app_for
from factflow_engine.cli.console import output
from factflow_engine.cli.example_text import example_text
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.findings import load_or_report
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import adapters_option, debug_option, no_imports_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean


@click.command(
    "diff",
    short_help="Show messages that two versions of a pipeline treat differently.",
    epilog="""\b
Examples:
  factflow config diff old.yaml new.yaml
  factflow config diff old.yaml new.yaml --output json

Exit status: 0 the two do the same, 1 they differ, 2 one of them has errors.""",
)
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@adapters_option
@no_imports_option
@output_option
@debug_option
@click.pass_obj
def diff_command(
    settings: Settings, *, old: Path, new: Path, adapter_modules: tuple[str, ...], no_imports: bool
) -> int:
    """Compare NEW with OLD by what they do to messages.

    For each stage and each target a message is searched for that one of the two sends there and the other does not.
    Conditions that are written differently and mean the same are no difference. Other settings are compared as such.
    """
    app = app_for(adapter_modules, imports=not no_imports)
    before = load_or_report(app, old, settings, imports=not no_imports)
    of_before = settings.hidden
    after = None if before is None else load_or_report(app, new, settings, imports=not no_imports)
    if before is None or after is None:
        return ExitStatus.INVALID
    of_after = settings.hidden
    settings.hidden = lambda text: of_after(of_before(text))
    found = differences(before, after)
    if settings.as_json:
        rows = [
            {
                "path": difference.path,
                "message": settings.hidden(difference.message),
                "example": example_text(difference.example, settings),
            }
            for difference in found
        ]
        print_document({"equivalent": not found, "differences": rows}, settings)
        return ExitStatus.FAILED if found else ExitStatus.OK
    console = output()
    for difference in found:
        line = settings.hidden(f"{difference.path}: {difference.message}")
        console.print(Text(clean(line)), soft_wrap=True)
        example = example_text(difference.example, settings)
        if example is not None:
            console.print(Text(f"  {clean(example)}"), soft_wrap=True)
    if not found:
        console.print("the two do the same with every message")
    return ExitStatus.FAILED if found else ExitStatus.OK
