"""The question before something is removed.

Kept separate from the commands because all of them ask alike, and refuse alike where nobody can answer.
"""

import sys

import click

from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.settings import Settings


def confirmed(question: str, settings: Settings, *, asker: str) -> bool:
    """Ask, and return True if the answer is yes; after any other answer say that nothing was changed.

    Args:
        question: The question, without secrets and control characters.
        settings: Settings of the invocation.
        asker: Noun for the operation, for the error: `purging`.

    Raises:
        InvalidInputError: Standard output is for JSON, or standard input has ended and is no terminal.
        click.Abort: Ctrl-C, or the end of a terminal's input.
    """
    refusal = f"{asker} asks first; write --yes where nobody can answer"
    if settings.as_json:
        raise InvalidInputError(refusal)
    try:
        agrees = click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)
        raise InvalidInputError(refusal) from None
    if not agrees:
        click.echo("factflow: nothing was changed", err=True)
    return agrees
