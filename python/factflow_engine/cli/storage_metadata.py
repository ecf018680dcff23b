"""`factflow storage metadata`: print what is known of an object."""

import json
from dataclasses import asdict

import click

from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.storage_access import storage_options, with_storage
from factflow_engine.cli.streams import results
from factflow_engine.cli.text import clean


@click.command("metadata", short_help="Print what is known of an object.")
@click.argument("key")
@storage_options
@output_option
@debug_option
@click.pass_obj
def metadata_command(settings: Settings, *, url: str, key: str) -> int:
    """Print size, content type, SHA-256 and custom metadata of the object KEY. Its bytes are not read."""
    metadata = with_storage(url, lambda storage: storage.metadata(key))
    if settings.as_json:
        print_document({"key": key, **asdict(metadata)}, settings)
        return ExitStatus.OK
    lines = {
        "key": key,
        "bytes": f"{metadata.size_bytes:,}",
        "type": metadata.content_type,
        "sha256": metadata.checksum,
        **{f"custom.{name}": _shown(value) for name, value in metadata.custom.items()},
    }
    width = max(map(len, map(clean, lines)))
    for name, value in lines.items():
        click.echo(f"{clean(name):{width}}  {clean(value)}", file=results())
    return ExitStatus.OK


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
