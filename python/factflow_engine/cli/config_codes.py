"""`factflow config codes`: the catalogue of findings, printed from the table that the loader uses."""

import click

from factflow_engine.cli.console import output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, table_output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.tables import Cell, Table, names, prose
from factflow_engine.config.codes_of_tests import ALL_CODES, family_of


@click.command(
    "codes",
    short_help="Print the catalogue of finding codes.",
    epilog="""\b
Examples:
  factflow config codes
  factflow config codes E103""",
)
@click.argument("code", required=False)
@table_output_option
@debug_option
@click.pass_obj
def codes_command(settings: Settings, *, code: str | None) -> int:
    """Print the catalogue of finding codes, or what is known of one CODE.

    E stands for errors, W for warnings, T for errors of files of tests; the first digit is the family.
    """
    chosen = (
        list(ALL_CODES.values()) if code is None else [row for row in ALL_CODES.values() if row.code == code.upper()]
    )
    if not chosen:
        raise InvalidInputError(f"there is no code {code}; `factflow config codes` prints all")
    if settings.as_json:
        rows = [
            {
                "code": row.code,
                "severity": "warning" if row.code.startswith("W") else "error",
                "family": family_of(row.code),
                "title": row.title,
                "explanation": row.explanation,
                "remedy": row.remedy,
            }
            for row in chosen
        ]
        print_document({"codes": rows}, settings)
        return ExitStatus.OK
    table = Table(*names("code"), *prose("family", "what it is", "what to do"))
    for row in chosen:
        style = "yellow" if row.code.startswith("W") else "red"
        table.add(Cell(row.code, style), family_of(row.code), f"{row.title}. {row.explanation}", row.remedy)
    table.print(output(), settings.layout)
    return ExitStatus.OK
