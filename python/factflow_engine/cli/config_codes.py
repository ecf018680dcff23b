"""`factflow config codes`: the catalogue of findings, printed from the table that the loader uses."""

import click
from rich.text import Text

from factflow_engine.cli.console import output, table_for
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean
from factflow_engine.config.catalogue import CATALOGUE
from factflow_engine.config.codes import FAMILIES


@click.command(
    "codes",
    short_help="Print the catalogue of finding codes.",
    epilog="""\b
Examples:
  factflow config codes
  factflow config codes E103""",
)
@click.argument("code", required=False)
@output_option
@debug_option
@click.pass_obj
def codes_command(settings: Settings, *, code: str | None) -> int:
    """Print the catalogue of finding codes, or what is known of one CODE.

    E stands for errors, W for warnings; the first digit is the family.
    """
    chosen = (
        list(CATALOGUE.values()) if code is None else [row for row in CATALOGUE.values() if row.code == code.upper()]
    )
    if not chosen:
        raise InvalidInputError(f"there is no code {code}; `factflow config codes` prints all")
    if settings.as_json:
        rows = [
            {
                "code": row.code,
                "severity": "warning" if row.code.startswith("W") else "error",
                "family": FAMILIES[row.code[1]],
                "title": row.title,
                "explanation": row.explanation,
                "remedy": row.remedy,
            }
            for row in chosen
        ]
        print_document({"codes": rows}, settings)
        return ExitStatus.OK
    console = output()
    table = table_for(console)
    table.add_column("code", no_wrap=True)
    table.add_column("family", overflow="fold")
    table.add_column("what it is", overflow="fold")
    table.add_column("what to do", overflow="fold")
    for row in chosen:
        table.add_row(
            Text(row.code, style="yellow" if row.code.startswith("W") else "red"),
            FAMILIES[row.code[1]],
            Text(clean(f"{row.title}. {row.explanation}")),
            Text(clean(row.remedy)),
        )
    console.print(table)
    return ExitStatus.OK
