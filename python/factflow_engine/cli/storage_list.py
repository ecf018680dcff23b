"""`factflow storage list`: list the keys of objects."""

import click

from factflow_engine.cli.console import output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, table_output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.storage_access import storage_options, with_storage
from factflow_engine.cli.streams import results
from factflow_engine.cli.tables import Column, Table, names, numbers
from factflow_engine.cli.text import clean
from factflow_protocols import ObjectMetadata, StorageCorruptError, StorageNotFoundError, StorageProtocol


@click.command(
    "list",
    short_help="List the keys of objects.",
    epilog="""\b
Examples:
  factflow storage list
  factflow storage list executions/0192 --long
  factflow storage list --storage s3://bucket/pipelines --output plain | wc -l""",
)
@click.argument("prefix", default="")
@click.option(
    "-l", "--long", is_flag=True, help="Also print size, content type and SHA-256, which takes a look at each."
)
@click.option("--limit", type=click.IntRange(min=1), help="Stop after so many.")
@storage_options
@table_output_option
@debug_option
@click.pass_obj
def list_command(settings: Settings, *, url: str, prefix: str, long: bool, limit: int | None) -> int:
    """List the keys that begin with PREFIX, in order; all by default."""
    if not long and not settings.as_json:
        with_storage(url, lambda storage: _print_keys(storage, prefix, limit))
        return ExitStatus.OK
    rows = with_storage(url, lambda storage: _rows(storage, prefix, limit, long=long))
    if settings.as_json:
        print_document({"objects": [_document(key, metadata) for key, metadata in rows]}, settings)
        return ExitStatus.OK
    table = Table(*names("key"), *numbers("bytes"), *names("type"), Column(title="sha256"))
    for key, metadata in rows:
        if isinstance(metadata, ObjectMetadata):
            table.add(key, metadata.size_bytes, metadata.content_type, metadata.checksum)
        else:
            table.add(key, "", "corrupt", "")
    table.print(output(), settings.layout)
    return ExitStatus.OK


async def _print_keys(storage: StorageProtocol, prefix: str, limit: int | None) -> None:
    count = 0
    async for key in storage.list(prefix):
        click.echo(clean(key), file=results())
        count += 1
        if count == limit:
            break


async def _rows(
    storage: StorageProtocol, prefix: str, limit: int | None, *, long: bool
) -> list[tuple[str, ObjectMetadata | str | None]]:
    """Return keys with their metadata, or the text of what is wrong with it; None if it was not asked for."""
    rows: list[tuple[str, ObjectMetadata | str | None]] = []
    async for key in storage.list(prefix):
        try:
            rows.append((key, await storage.metadata(key) if long else None))
        except StorageNotFoundError:
            continue  # deleted since it was listed
        except StorageCorruptError as error:
            rows.append((key, str(error)))
        if len(rows) == limit:
            break
    return rows


def _document(key: str, metadata: ObjectMetadata | str | None) -> dict[str, object]:
    if isinstance(metadata, ObjectMetadata):
        return {
            "key": key,
            "size_bytes": metadata.size_bytes,
            "content_type": metadata.content_type,
            "checksum": metadata.checksum,
        }
    return {"key": key} if metadata is None else {"key": key, "error": metadata}
