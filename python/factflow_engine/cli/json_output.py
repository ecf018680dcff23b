r"""The one JSON document that a command prints with `--output json`.

ASCII only: characters of a message are written as `\u....` escapes, so no terminal acts on them.
"""

import json

import click

from factflow_engine.cli.settings import Settings
from factflow_engine.cli.streams import results
from factflow_engine.cli.text import OutputClosedError


def print_document(document: object, settings: Settings) -> None:
    """Write the document to standard output and note that it was written.

    Raises:
        OutputClosedError: The reader went away.
    """
    settings.document_printed = True
    try:
        click.echo(json.dumps(document, indent=2, ensure_ascii=True), file=results())
    except BrokenPipeError as error:
        raise OutputClosedError from error
