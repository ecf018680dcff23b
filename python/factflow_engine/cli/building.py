"""Construction of an `App` for a command: loads its adapter modules and reports broken plug-ins.

Kept separate from the composition root because only the owner of a process may change the module search path.
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
from factflow_engine.errors import QueueProviderError
from factflow_engine.queues.providers import open_queue
from factflow_protocols import QueueProtocol, QueueUrlError


def app_for(adapter_modules: Iterable[str], *, queue: QueueProtocol | None = None, allow_loss: bool = False) -> App:
    """Build the engine that a command works with; warn about broken plug-ins unless they were asked for.

    Modules are also looked for in the working directory, after all other places.

    Args:
        adapter_modules: Names of modules, or paths of Python files.
        queue: The provider that configurations are to run on.
        allow_loss: True to accept stages that lose what they keep.

    Raises:
        InvalidInputError: A module that was named has no adapter that can be used.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        # interruptible: importing may take as long as it likes
        app = build_app(adapters=adapter_modules, queue=queue, allow_loss=allow_loss)
    except AdapterModuleError as error:
        raise InvalidInputError(f"--adapters: {error}") from error
    for problem in app.problems:
        click.echo(clean(f"factflow: plug-in left out: {problem.source}: {problem.error}"), err=True)
    return app


def queue_for(url: str | None) -> QueueProtocol | None:
    """Return the provider that `--queue` names, if it was given; nothing is opened.

    Raises:
        InvalidInputError: The URL names no provider, or one that cannot be used.
    """
    if url is None:
        return None
    try:
        return open_queue(url)
    except (QueueUrlError, QueueProviderError) as error:
        raise InvalidInputError(f"--queue: {error}") from error


def checked(app: App, file: Path) -> LoadResult:
    """Return the loader's findings on a configuration."""
    with held_interrupts():
        return app.loader.check(file)
