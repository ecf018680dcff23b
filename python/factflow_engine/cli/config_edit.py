"""`factflow config edit`: save another version of a configuration in the home."""

from dataclasses import replace
from pathlib import Path

import click

from factflow_engine.app import App
from factflow_engine.cli.building import app_for
from factflow_engine.cli.config_create import drafted, readable
from factflow_engine.cli.console import messages, output
from factflow_engine.cli.findings import print_findings, summary
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.home import existing, home_of, home_option
from factflow_engine.cli.home_store import in_store
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import adapters_option, debug_option, no_imports_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.stored import config_document, name_of
from factflow_engine.cli.text import clean
from factflow_engine.config import LoadResult
from factflow_engine.executions import ConfigDraft, Executions, StoredConfig
from factflow_engine.seams import SystemClock


@click.command(
    "edit",
    short_help="Save another version of a configuration.",
    epilog="""\b
Examples:
  factflow config edit nightly                          # in $EDITOR
  factflow config edit nightly --file pipeline.yaml
  factflow config edit nightly --rename weekly
  factflow config edit nightly --deactivate""",
)
@click.argument("name")
@click.option("-f", "--file", type=click.Path(path_type=Path), help="Take the text of this file; else $EDITOR opens.")
@click.option("--rename", metavar="NAME", help="Change its name, by itself or with the text.")
@click.option("--activate/--deactivate", "active", default=None, help="Allow running it, or forbid it; no new version.")
@adapters_option
@no_imports_option
@home_option
@output_option
@debug_option
@click.pass_obj
def edit_command(
    settings: Settings,
    *,
    name: str,
    file: Path | None,
    rename: str | None,
    active: bool | None,
    adapter_modules: tuple[str, ...],
    no_imports: bool,
    home: Path | None,
) -> None:
    """Save another version of the configuration NAME; older versions stay, and so does what runs.

    If somebody else saves a version meanwhile, nothing is saved.
    """
    place = existing(home_of(home))
    app = app_for(adapter_modules, imports=not no_imports)

    async def look(executions: Executions) -> StoredConfig:
        return await executions.store.config(name)

    before = in_store(place, look)
    draft, result = _edited(app, before, file, asks=active is None and rename is None, imports=not no_imports)
    draft = replace(draft, name=rename or before.name)
    changes_text = draft.text != before.text or draft.directory != before.directory
    if result is not None:
        print_findings(result, messages())

    async def save(executions: Executions) -> StoredConfig:
        store = executions.store
        if changes_text or draft.name != before.name:
            await store.save_config(draft, of=before.id, expected=before.version)
        if active is not None:
            await store.set_active(before.id, active=active)
        return await store.config(before.id)

    saved = in_store(place, save)
    changed = saved.version != before.version or saved.active != before.active
    if settings.as_json:
        print_document({"status": "saved" if changed else "unchanged", **config_document(saved, result)}, settings)
        return
    said = f"saved {clean(saved.name)} version {saved.version}" if changed else f"{clean(saved.name)} is unchanged"
    state = "" if result is None else f": {summary(result.findings)}"
    output().print(f"{said}  {saved.id}{state}{'' if saved.active else ' (inactive)'}", soft_wrap=True)


def _edited(
    app: App, before: StoredConfig, file: Path | None, *, asks: bool, imports: bool
) -> tuple[ConfigDraft, LoadResult | None]:
    """Return what is to be saved, from a file or from the operator's editor, and its findings if the text was asked for."""
    if file is not None:
        result = readable(app, file, imports=imports)
        return drafted(result, file, before.name), result
    text = _from_editor(before) if asks else before.text
    result = app.loader.check_text(text, name_of(before), directory=Path(before.directory), imports=imports)
    if not result.text:
        raise InvalidInputError(f"nothing was saved: {result.findings[0] if result.findings else 'the text is empty'}")
    draft = ConfigDraft(
        name=before.name,
        text=text,
        hash=None if result.config is None else result.config.hash,
        directory=before.directory,
        file=before.file,
        errors=len(result.errors),
        saved_ns=SystemClock.wall_ns(),
    )
    return draft, result if asks else None


def _from_editor(before: StoredConfig) -> str:
    try:
        text = click.edit(before.text, extension=".yaml", require_save=True)
    except click.ClickException as error:
        raise InvalidInputError(f"{error.format_message()}; set EDITOR, or write --file FILE") from error
    return before.text if text is None else text
