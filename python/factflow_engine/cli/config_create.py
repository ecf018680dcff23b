"""`factflow config create`: save a configuration in the home."""

from pathlib import Path

import click

from factflow_engine.app import App
from factflow_engine.cli.building import app_for
from factflow_engine.cli.console import messages, output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.findings import checked, print_findings, summary
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.home import home_of, home_option
from factflow_engine.cli.home_store import in_store
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import adapters_option, debug_option, no_imports_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.stored import config_document
from factflow_engine.cli.text import clean
from factflow_engine.config import LoadResult
from factflow_engine.config.hiding import Hiding
from factflow_engine.executions import ConfigDraft, Executions, StoredConfig
from factflow_engine.seams import SystemClock

_UNNAMED = "pipeline"
"""Name of a configuration that has none."""


@click.command(
    "create",
    short_help="Save a configuration in the home.",
    epilog="""\b
Examples:
  factflow config create pipeline.yaml
  factflow config create pipeline.yaml --name nightly --adapters my_adapters.py""",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="Name in the home; by default the pipeline's own, else the file's.")
@adapters_option
@no_imports_option
@home_option
@output_option
@debug_option
@click.pass_obj
def create_command(
    settings: Settings,
    *,
    file: Path,
    name: str | None,
    adapter_modules: tuple[str, ...],
    no_imports: bool,
    home: Path | None,
) -> int:
    """Save FILE as version 1 of a configuration in the home.

    It is saved as it is written: references such as ${NAME} stay references. One with errors is saved, too, with its
    findings; `factflow config run` refuses it until it is edited. Relative paths in it start from the folder of FILE.
    """
    app = app_for(adapter_modules, imports=not no_imports)
    result = readable(app, file, imports=not no_imports)
    draft = drafted(result, file, name or _name(result, file))
    print_findings(result, messages())

    async def save(executions: Executions) -> StoredConfig:
        return await executions.store.save_config(draft)

    saved = in_store(home_of(home), save)
    if settings.as_json:
        print_document({"status": "saved", **config_document(saved, result)}, settings)
    else:
        output().print(
            f"saved {clean(saved.name)} version {saved.version}  {saved.id}: {summary(result.findings)}", soft_wrap=True
        )
    return ExitStatus.OK


def readable(app: App, file: Path, *, imports: bool) -> LoadResult:
    """Return the loader's findings on a file that is to be saved.

    Raises:
        InvalidInputError: It cannot be read, or is no text.
    """
    result = checked(app, file, imports=imports)
    if not result.text:
        [*problems] = result.findings
        raise InvalidInputError(f"{file} was not saved: {problems[0] if problems else 'it is empty'}")
    return result


def drafted(result: LoadResult, file: Path, name: str) -> ConfigDraft:
    """Return what is to be saved of a file, now."""
    return ConfigDraft(
        name=name,
        text=result.text,
        hash=None if result.config is None else result.config.hash,
        directory=str(file.resolve().parent),
        file=str(file),
        errors=len(result.errors),
        saved_ns=SystemClock.wall_ns(),
    )


def _name(result: LoadResult, file: Path) -> str:
    config = result.config
    if config is None or config.name == _UNNAMED:
        return file.stem
    return Hiding(config.secrets)(config.name)
