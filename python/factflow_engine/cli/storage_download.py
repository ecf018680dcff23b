"""`factflow storage download`: copy objects into a folder."""

from dataclasses import dataclass, field
from pathlib import Path

import click

from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.storage_access import shown_progress, storage_options, with_storage
from factflow_engine.cli.text import clean, plural
from factflow_engine.storages.file import FileStorage
from factflow_protocols import StorageCorruptError, StorageError, StorageNotFoundError, StorageProtocol


@dataclass(slots=True)
class _Copied:
    """Counts of a copy.

    Attributes:
        copied: Objects that were copied.
        size_bytes: Their bytes.
        present: Objects that were there already, with the same bytes.
        failed: Keys, and why they were not copied.
    """

    copied: int = 0
    size_bytes: int = 0
    present: int = 0
    failed: dict[str, str] = field(default_factory=dict)


@click.command(
    "download",
    short_help="Copy objects into a folder.",
    epilog="""\b
Examples:
  factflow storage download executions/0192 --to copies
  factflow storage verify --storage file://./copies

Exit status: 0 all are there, 1 some could not be copied, 2 no object begins with PREFIX.""",
)
@click.argument("prefix", default="")
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder; made if it is not there.",
)
@click.option("--overwrite", is_flag=True, help="Replace files of the same name with other content.")
@storage_options
@output_option
@debug_option
@click.pass_obj
def download_command(settings: Settings, *, url: str, prefix: str, target: Path, overwrite: bool) -> int:
    """Copy the objects whose keys begin with PREFIX to files of these names below a folder.

    The folder becomes a store itself (file://FOLDER): beside each file lies its .meta.json. An object is checked while it
    is copied; one that is there already is left. No link in the folder is followed, and no file is left half written.
    """
    with shown_progress() as show:

        async def work(storage: StorageProtocol) -> _Copied:
            result = _Copied()
            async for key in storage.list(prefix):
                await _copy(storage, FileStorage(target), key, result, overwrite=overwrite)
                show(f"{plural(result.copied, 'object')} copied, {result.size_bytes:,} bytes")
            return result

        result = with_storage(url, work)
    count = result.copied + result.present + len(result.failed)
    if settings.as_json:
        document = {"copied": result.copied, "size_bytes": result.size_bytes, "present": result.present}
        print_document({**document, "failed": result.failed}, settings)
    else:
        for text in result.failed.values():
            click.echo(f"factflow: {clean(text)}", err=True)
        parts = [f"{plural(result.copied, 'object')} copied, {result.size_bytes:,} bytes"]
        parts += [f"{result.present:,} there already"] if result.present else []
        parts += [f"{len(result.failed):,} failed"] if result.failed else []
        click.echo("; ".join(parts))
    if not count:
        click.echo(
            f"factflow: no key begins with {clean(prefix)!r}" if prefix else "factflow: the store is empty", err=True
        )
        return ExitStatus.INVALID
    return ExitStatus.FAILED if result.failed else ExitStatus.OK


async def _copy(storage: StorageProtocol, target: FileStorage, key: str, result: _Copied, *, overwrite: bool) -> None:
    try:
        metadata = await storage.metadata(key)
        if await target.exists(key):
            if await _is_same(target, key, metadata.checksum):
                result.present += 1
                return
            if not overwrite:
                result.failed[key] = (
                    f"object {key!r}: the folder has another file of this name; --overwrite replaces it"
                )
                return
        async with storage.stream(key) as parts:
            written = await target.write(key, parts, content_type=metadata.content_type, custom=metadata.custom)
        result.copied += 1
        result.size_bytes += written.size_bytes
    except StorageNotFoundError:
        return  # deleted since it was listed
    except StorageError as error:
        result.failed[key] = str(error)


async def _is_same(target: FileStorage, key: str, checksum: str) -> bool:
    try:
        return (await target.metadata(key)).checksum == checksum
    except StorageCorruptError:
        return False
