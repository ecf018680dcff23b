"""An `App` for a command: its modules of adapters loaded, and its plug-ins' problems told.

Kept separate from the composition root because only a process's owner may change where modules are looked for.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from factflow_engine.app import AdapterModuleError, App, build_app
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.interrupts import held_interrupts
from factflow_engine.cli.text import clean
from factflow_engine.config import LoadResult


def app_for(adapter_modules: Iterable[str], *, durable: bool = False) -> App:
    """Build the engine that a command works with; broken plug-ins that nobody asked for are warned about.

    Modules are also looked for in the working directory, after all other places.

    Args:
        adapter_modules: Names of modules, or paths of Python files.
        durable: Configurations are to run on a queue that outlives the process.

    Raises:
        InvalidInputError: A module that was named has no adapter that can be used.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        app = build_app(
            adapters=adapter_modules, durable=durable
        )  # interruptible: importing may take as long as it likes
    except AdapterModuleError as error:
        raise InvalidInputError(f"--adapters: {error}") from error
    for problem in app.problems:
        click.echo(clean(f"factflow: plug-in left out: {problem.source}: {problem.error}"), err=True)
    return app


def checked(app: App, file: Path) -> LoadResult:
    """What the loader says of a configuration."""
    with held_interrupts():
        return app.loader.check(file)
