"""`factflow lineage sql`: a question in SQL that can only read."""

from pathlib import Path

import click

from factflow_engine.cli.console import output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.lineage_store import store_options, with_lineage
from factflow_engine.cli.options import debug_option, table_output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.tables import Column, Kind, Table
from factflow_protocols import LineageReader, QueryResult


@click.command(
    "sql",
    short_help="Ask a question in SQL.",
    epilog="""\b
Examples:
  factflow lineage sql "SELECT route, stage, count(*) FROM visits WHERE status = 'failed' GROUP BY 1, 2"
  factflow lineage sql "SELECT * FROM outcomes WHERE message_id = x'018f3c2a9b7c4d5e8f90a1b2c3d4e5f6'" --output json""",
)
@click.argument("query")
@click.option(
    "--limit", type=click.IntRange(min=1, max=1_000_000), default=1_000, show_default=True, help="Most rows to print."
)
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(min=0.1, max=86_400),
    default=60.0,
    show_default=True,
    help="Seconds after which the query is stopped.",
)
@store_options
@table_output_option
@debug_option
@click.pass_obj
def sql_command(
    settings: Settings, *, home: Path | None, url: str | None, query: str, limit: int, seconds: float
) -> int:
    """Ask QUERY, in the store's SQL, of the views `visits` and `outcomes`.

    Their columns are, of both: execution_id, route, message_id, parent_id, correlation_id, detail. Of visits: stage,
    position, attempt, status, started_ns, duration_ns, waited_ns, waited_for, input_hash, output_hash. Of outcomes:
    outcome, ended_ns, attempts, emitted. Ids and hashes are blobs: write x'...' for them; they are printed in
    hexadecimal. A query that does anything but read is refused.
    """

    async def ask(reader: LineageReader) -> QueryResult:
        return await reader.sql(query, limit=limit, seconds=seconds)

    result = with_lineage(home, url, ask)
    rows = [[_plain(value) for value in row] for row in result.rows]
    if settings.as_json:
        print_document({"columns": list(result.columns), "rows": rows, "more": result.more}, settings)
        return ExitStatus.OK
    kinds = [
        Kind.NUMBER if rows and all(isinstance(row[place], int) for row in rows) else Kind.NAME
        for place in range(len(result.columns))
    ]
    columns = [Column(title=title, kind=kind) for title, kind in zip(result.columns, kinds, strict=True)]
    table = Table(*columns)
    for row in rows:
        table.add(*(value if isinstance(value, int) else "" if value is None else str(value) for value in row))
    table.print(output(), settings.layout)
    if result.more:
        click.echo(f"factflow: the first {len(rows):,} rows printed; --limit prints more", err=True)
    return ExitStatus.OK


def _plain(value: object) -> object:
    """Return a value as JSON has it."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, float):
        return value if value - value == 0 else repr(value)  # JSON has no infinities and no NaN
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
