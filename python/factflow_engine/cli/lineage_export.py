"""`factflow lineage export`: rows as JSON lines or Parquet, in constant memory."""

import importlib
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import click

from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.lineage_store import (
    row_document,
    store_options,
    visit_selection_options,
    with_lineage,
)
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.streams import results
from factflow_engine.cli.text import OutputClosedError, clean, plural
from factflow_protocols import LineageEntry, LineageReader, LineageSelection, OutcomeEntry

_PAGE: Final = 5_000
_GROUP: Final = 50_000
"""Rows of one group of a Parquet file, which are held at a time."""

Rows = Sequence[LineageEntry] | Sequence[OutcomeEntry]


@click.command(
    "export",
    short_help="Write rows as JSON lines or Parquet.",
    epilog="""\b
Examples:
  factflow lineage export > visits.jsonl
  factflow lineage export --rows outcomes --to outcomes.parquet --since 7d""",
)
@click.option(
    "--rows",
    "kind",
    type=click.Choice(["visits", "outcomes"]),
    default="visits",
    show_default=True,
    help="Which rows: visits of messages to stages, or the ends of messages.",
)
@click.option(
    "--to",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="File to write, .jsonl or .parquet; by default JSON lines go to standard output.",
)
@visit_selection_options
@store_options
@output_option
@debug_option
@click.pass_obj
def export_command(
    settings: Settings,
    *,
    home: Path | None,
    url: str | None,
    kind: str,
    target: Path | None,
    selection: LineageSelection,
) -> int:
    """Write the selected rows, each in its latest form, in the order of message ids, which is that of their roots' times.

    A file is complete or not there: it is written beside its place and then moved. Parquet needs the extra: pip install
    'factflow-engine[parquet]'. With --output json, the document says how many rows were written; it needs --to.
    """
    if settings.as_json and target is None:
        raise InvalidInputError("--output json needs --to FILE: standard output cannot hold the rows and a document")

    if kind == "outcomes" and (selection.stage is not None or selection.statuses):
        raise InvalidInputError(
            "--stage and --status select visits, and the end of a message has neither; write --rows visits, or leave them out"
        )

    async def export(reader: LineageReader) -> int:
        with ExitStack() as stack:
            with _writing(target):
                write = _to_standard_output if target is None else _to_file(target, kind, stack)
            count = 0
            async for page in _pages(reader, selection, kind):
                with _writing(target):
                    write(page)
                count += len(page)
            with _writing(target):
                stack.close()
            return count

    count = with_lineage(home, url, export)
    if settings.as_json:
        print_document({"file": str(target), "rows": count}, settings)
    elif target is not None:
        click.echo(f"factflow: {plural(count, 'row')} written to {clean(str(target))}", err=True)
    return ExitStatus.OK


@contextmanager
def _writing(target: Path | None) -> Iterator[None]:
    """Raise errors of the block as those of what is written."""
    try:
        yield
    except BrokenPipeError as error:
        raise OutputClosedError from error
    except OSError as error:
        name = "standard output" if target is None else repr(str(target))
        raise InvalidInputError(f"{name} cannot be written: {error.strerror or error}") from error


async def _pages(reader: LineageReader, selection: LineageSelection, kind: str) -> AsyncIterator[Rows]:
    if kind == "visits":
        visit: LineageEntry | None = None
        while visits := await reader.visits(selection, after=visit, limit=_PAGE):
            yield visits
            visit = visits[-1]
    else:
        end: OutcomeEntry | None = None
        while ends := await reader.outcomes(selection, after=end, limit=_PAGE):
            yield ends
            end = ends[-1]


def _to_standard_output(page: Rows) -> None:
    stream = results()
    stream.writelines(map(_line, page))
    stream.flush()


def _line(row: LineageEntry | OutcomeEntry) -> str:
    return json.dumps(row_document(row), ensure_ascii=True, separators=(",", ":")) + "\n"


def _to_file(target: Path, kind: str, stack: ExitStack) -> Callable[[Rows], object]:
    """Return what writes a page; the file is put in its place once the stack is left without an error."""
    writers = {".jsonl": _jsonl, ".ndjson": _jsonl, ".parquet": _parquet}
    if target.suffix.lower() not in writers:
        raise InvalidInputError(f"--to {str(target)!r}: expected a name that ends in {', '.join(writers)}")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")

    def settle(error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            unfinished.replace(target)
        else:
            unfinished.unlink(missing_ok=True)

    stack.push(settle)
    return writers[target.suffix.lower()](unfinished, kind, stack)


def _jsonl(path: Path, _kind: str, stack: ExitStack) -> Callable[[Rows], object]:
    file = stack.enter_context(path.open("w", encoding="ascii"))
    return lambda page: file.writelines(map(_line, page))


def _parquet(path: Path, kind: str, stack: ExitStack) -> Callable[[Rows], object]:
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise InvalidInputError(
            "a .parquet file needs pyarrow: pip install 'factflow-engine[parquet]'; .jsonl needs nothing"
        ) from error
    row: Any = LineageEntry if kind == "visits" else OutcomeEntry
    kinds = {"bytes": arrow.binary(), "int": arrow.int64(), "str": arrow.string()}
    schema = arrow.schema(
        [
            arrow.field(name, kinds[_name(hint).partition(" ")[0]], nullable="None" in _name(hint))
            for name, hint in row.__annotations__.items()
        ]
    )
    writer = stack.enter_context(parquet.ParquetWriter(str(path), schema, compression="zstd"))
    held: list[Any] = []

    def flush() -> None:
        columns = [list(column) for column in zip(*held, strict=True)] or [[] for _ in schema]
        arrays = [arrow.array(column, type=field.type) for column, field in zip(columns, schema, strict=True)]
        writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
        held.clear()

    def write(page: Rows) -> None:
        held.extend(page)
        if len(held) >= _GROUP:
            flush()

    def finish(error: type[BaseException] | None, *_: object) -> None:
        if error is None and held:
            flush()

    stack.push(finish)
    return write


def _name(hint: object) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)
