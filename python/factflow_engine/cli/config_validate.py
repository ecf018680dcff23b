"""`factflow config validate`: one file, or every YAML file below a folder."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click
from rich.text import Text

from factflow_engine.app import App
from factflow_engine.cli.building import UnusableModuleError, app_for, queue_for
from factflow_engine.cli.console import output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.findings import checked, findings_document, print_findings, summary, unchecked_line
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import (
    adapters_option,
    allow_loss_option,
    debug_option,
    no_imports_option,
    output_option,
)
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean, plural
from factflow_engine.config import LoadResult
from factflow_engine.config.hiding import Hiding
from factflow_engine.queues.providers import is_built_in

_SUFFIXES: Final = (".yaml", ".yml")
_TESTS: Final = (".test.yaml", ".test.yml")
"""Endings of files of tests, which are no configurations; `factflow test` checks them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A folder or file that could not be read, so that its validity is unknown."""

    path: Path
    problem: str


@click.command(
    "validate",
    short_help="Check a configuration, or all in a folder.",
    epilog="""\b
Examples:
  factflow config validate pipeline.yaml
  factflow config validate pipelines/ --adapters my_adapters.py --output json
  factflow config validate pipelines/ --no-imports

Exit status: 0 all can be run (warnings do not count), 2 some cannot, or could not be read.""",
)
@click.argument("path", metavar="FILE|DIR", type=click.Path(path_type=Path))
@adapters_option
@click.option("--queue", "queue_url", metavar="URL", help="Check for running with this queue, as `run --queue` does.")
@allow_loss_option
@no_imports_option
@output_option
@debug_option
@click.pass_obj
def validate_command(
    settings: Settings,
    *,
    path: Path,
    adapter_modules: tuple[str, ...],
    queue_url: str | None,
    allow_loss: bool,
    no_imports: bool,
) -> int:
    """Check FILE, or every .yaml and .yml file below DIR.

    Hidden folders, links to folders and files of tests (.test.yaml, .test.yml) are left out.

    A folder that cannot be listed, or a file that is not a regular file, is named and counts as invalid.

    Uses the loader that `run` uses: `run` finds nothing more than what is found here. So it imports what `run` imports,
    which runs its code: installed plug-ins, the modules of --adapters, and the functions of call and call_async.
    With --no-imports it imports nothing of these, and says what it could not check.
    """
    files, unread = files_below(path) if path.is_dir() else ([path], [])
    if not files and not unread:
        raise InvalidInputError(
            f"there is no .yaml or .yml file below {path}; name the folder that has them, or a file"
        )
    app = _app(adapter_modules, queue_url, allow_loss=allow_loss, imports=not no_imports)
    results = [(file, checked(app, file, imports=not no_imports)) for file in files]
    valid = sum(result.is_valid for _, result in results)
    if settings.as_json:
        print_document({**_document(results, unread), "imports": not no_imports}, settings)
    else:
        _print(results, unread, valid)
        if no_imports:
            line = unchecked_line([result for _, result in results], adapter_modules)
            output().print(Text(line), soft_wrap=True)
    return ExitStatus.OK if valid == len(results) and not unread else ExitStatus.INVALID


def _app(adapter_modules: tuple[str, ...], queue_url: str | None, *, allow_loss: bool, imports: bool) -> App:
    if not imports and queue_url is not None and not is_built_in(queue_url):
        raise InvalidInputError(
            f"--no-imports: {queue_url.partition(':')[0]}:// has no built-in provider, and a plug-in would be imported; "
            "leave out --queue, or --no-imports"
        )
    try:
        return app_for(adapter_modules, queue=queue_for(queue_url), allow_loss=allow_loss, imports=imports)
    except UnusableModuleError as error:
        error.document.update(valid=False, files=[], unread=[], imports=imports)
        raise


def files_below(folder: Path) -> tuple[list[Path], list[Unread]]:
    """Return the YAML files below a folder, sorted by path, and everything that could not be read."""
    found: list[Path] = []
    unread: list[Unread] = []

    def note(error: OSError) -> None:
        unread.append(Unread(path=Path(error.filename), problem=f"cannot be listed: {error.strerror or error}"))

    for root, folders, names in os.walk(folder, followlinks=False, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".")]
        chosen = [name for name in names if name.endswith(_SUFFIXES) and not name.endswith(_TESTS)]
        for path in (Path(root, name) for name in chosen):
            if os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113 - these raise nothing
                unread.append(
                    Unread(path=path, problem="is not a regular file")
                )  # a named pipe is waited for without end
            else:
                found.append(path)
    return sorted(found), sorted(unread, key=lambda one: one.path)


def _document(results: Sequence[tuple[Path, LoadResult]], unread: Sequence[Unread]) -> dict[str, object]:
    return {
        "valid": all(result.is_valid for _, result in results) and not unread,
        "unread": [{"path": str(one.path), "problem": one.problem} for one in unread],
        "files": [
            {
                "file": str(file),
                "valid": result.is_valid,
                "name": Hiding(result.config.secrets)(result.config.name) if result.config is not None else None,
                "config_hash": result.config.hash if result.is_valid and result.config is not None else None,
                "findings": findings_document(result.findings),
                "unchecked": [asdict(one) for one in result.unchecked],
            }
            for file, result in results
        ],
    }


def _print(results: Sequence[tuple[Path, LoadResult]], unread: Sequence[Unread], valid: int) -> None:
    console = output()
    for file, result in results:
        print_findings(result, console)
        word, style = ("ok", "green") if result.is_valid else ("invalid", "bold red")
        console.print(Text.assemble((word, style), f"  {clean(str(file))}: {summary(result.findings)}"), soft_wrap=True)
    for one in unread:
        line = Text.assemble(("unread", "bold red"), f"  {clean(str(one.path))}: {one.problem}")
        console.print(line, soft_wrap=True)
    if len(results) + len(unread) > 1:
        skipped = f", {len(unread):,} unread" if unread else ""
        console.print(f"{plural(len(results), 'file')}: {valid:,} ok, {len(results) - valid:,} invalid{skipped}")
