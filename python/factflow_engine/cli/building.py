"""Construction of an `App` for a command: loads its adapter modules and reports broken plug-ins.

Kept separate from the composition root because only the owner of a process may change the module search path.
"""

import linecache
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from factflow_engine.adapters.importing import problem_of
from factflow_engine.app import AdapterModuleError, App, build_app
from factflow_engine.cli.findings import findings_document
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.interrupts import interrupt_noticed
from factflow_engine.cli.text import clean
from factflow_engine.config import Finding
from factflow_engine.errors import QueueProviderError
from factflow_engine.queues.providers import open_queue
from factflow_protocols import QueueProtocol, QueueUrlError


class UnusableModuleError(InvalidInputError):
    """Module that `--adapters` names, and that cannot be used; each finding is a line of the text.

    Attributes:
        findings: The findings.
    """

    def __init__(self, error: AdapterModuleError) -> None:
        self.findings = error.findings
        shown = "\n\n".join(finding.render(_line_of(finding)) for finding in self.findings)
        document = {"status": "invalid", "findings": findings_document(self.findings)}
        super().__init__(f"--adapters {error.module} cannot be used\n{shown}", document)


def app_for(
    adapter_modules: Sequence[str],
    *,
    queue: QueueProtocol | None = None,
    allow_loss: bool = False,
    imports: bool = True,
) -> App:
    """Build the engine that a command works with; warn about broken plug-ins unless they were asked for.

    Modules are also looked for in the working directory, after all other places.

    Args:
        adapter_modules: Names of modules, or paths of Python files.
        queue: The provider that configurations are to run on.
        allow_loss: True to accept stages that lose what they keep.
        imports: False to import neither plug-ins nor the modules.

    Raises:
        InvalidInputError: A module that was named has no adapter that can be used.
    """
    if not imports:
        return build_app(queue=queue, allow_loss=allow_loss, plug_ins=False)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        # interruptible: importing may take as long as it likes
        app = build_app(adapters=adapter_modules, queue=queue, allow_loss=allow_loss)
    except AdapterModuleError as error:
        raise UnusableModuleError(error) from error
    except KeyboardInterrupt as error:
        raise _ended_by_import(error) from error
    for problem in app.problems:
        click.echo(clean(f"factflow: plug-in left out: {problem}"), err=True)
    return app


def _ended_by_import(error: KeyboardInterrupt) -> BaseException:
    """Return the error to raise for a KeyboardInterrupt while modules were imported; say where it came from."""
    problem = problem_of(error)
    if interrupt_noticed():
        if problem.file:
            click.echo(clean(f"factflow: interrupted while a module was imported, at {problem.place}"), err=True)
        return error
    return InvalidInputError(f"--adapters: {problem}")


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


def _line_of(finding: Finding) -> str | None:
    """Return the line that a finding names; each tab a space, so that the mark stands under its place."""
    return linecache.getline(finding.file, finding.line).rstrip("\n").replace("\t", " ") or None
