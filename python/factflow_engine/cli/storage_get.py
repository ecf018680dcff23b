"""`factflow storage get`: print an object's bytes."""

import io

import click

from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.options import debug_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.storage_access import storage_options, with_storage
from factflow_engine.cli.streams import results
from factflow_protocols import StorageProtocol

_SHOWN_TYPES = ("text/", "application/json", "application/x-ndjson", "application/yaml")


@click.command(
    "get",
    short_help="Print an object.",
    epilog="""\b
Examples:
  factflow storage get executions/0192.../parse/markdown/0192....md
  factflow storage get reports/2026.pdf > report.pdf

Exit status: 0 printed, 1 the bytes are not those that were stored (they were printed nevertheless), 2 there is no such
object.""",
)
@click.argument("key")
@storage_options
@debug_option
@click.pass_obj
def get_command(settings: Settings, *, url: str, key: str) -> int:  # noqa: ARG001 - the options fill the settings
    """Write the bytes of the object KEY to standard output, and check them while they pass."""
    with_storage(url, lambda storage: _print(storage, key))
    return ExitStatus.OK


async def _print(storage: StorageProtocol, key: str) -> None:
    stream = results()
    if stream.isatty():
        content_type = (await storage.metadata(key)).content_type
        if not content_type.startswith(_SHOWN_TYPES):
            raise InvalidInputError(
                f"object {key!r} is {content_type}, which is not for a terminal; write `> FILE` behind it"
            )
    stream.flush()
    async with storage.stream(key) as parts:
        async for part in parts:
            if isinstance(stream, io.TextIOWrapper):
                stream.buffer.write(part)
            else:
                stream.write(part.decode(errors="backslashreplace"))
