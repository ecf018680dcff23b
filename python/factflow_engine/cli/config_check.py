"""`factflow config check`: properties of a pipeline's routing."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import click
from rich.text import Text

from factflow_engine.analysis import PROPERTIES, Status, Verdict, check_routing, most_held
from factflow_engine.cli.building import app_for
from factflow_engine.cli.console import output
from factflow_engine.cli.example_text import example_text
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.findings import load_or_report
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import adapters_option, debug_option, no_imports_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean

_REQUIRED: Final = ("reachable", "live_condition", "loops_end")
_STYLES: Final = {Status.FAILS: "bold red", Status.OPEN: "yellow", Status.HOLDS: "green"}

_WORDS: Final = {Status.HOLDS: "proved", Status.FAILS: "refuted", Status.OPEN: "open"}


@click.command(
    "check",
    short_help="Prove or refute properties of a pipeline's routing.",
    epilog="""\b
Examples:
  factflow config check pipeline.yaml
  factflow config check pipeline.yaml --require covering --require dead_lettered
  factflow config check pipeline.yaml --output json

Exit status: 0 no required property fails, 1 some do, 2 the configuration has errors.""",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--require",
    "more",
    type=click.Choice([name for name in PROPERTIES if name not in _REQUIRED]),
    multiple=True,
    help="Property that must hold, besides those that always must; may be repeated.",
)
@adapters_option
@no_imports_option
@output_option
@debug_option
@click.pass_obj
def check_command(
    settings: Settings, *, file: Path, more: tuple[str, ...], adapter_modules: tuple[str, ...], no_imports: bool
) -> int:
    r"""Prove what FILE says about every message, or show a message that refutes it.

    \b
    reachable       messages can come to each route and outbound
    live_condition  each condition holds for some messages, and not for all
    loops_end       no message goes round a circle of routes for ever
    covering        every message goes to some outbound of its route
    exclusive       no message goes to two outbounds of a route
    dead_lettered   what fails for good is kept in a dead-letter queue
    keeps_order     messages of one key end in order

    The first three must hold. Of the others a route may mean the opposite: they are counted, and shown if --require names
    them. What stages do to messages is not known: each condition is asked of every message. Where there is neither a
    proof nor an example, the property is open, which is no failure.
    """
    app = app_for(adapter_modules, imports=not no_imports)
    config = load_or_report(app, file, settings, imports=not no_imports)
    if config is None:
        return ExitStatus.INVALID
    verdicts = check_routing(config)
    required = {*_REQUIRED, *more}
    failed = [verdict for verdict in verdicts if verdict.status is Status.FAILS and verdict.name in required]
    if settings.as_json:
        document: dict[str, object] = {
            "holds": not failed,
            "required": [name for name in PROPERTIES if name in required],
            "verdicts": [_row(verdict, settings) for verdict in verdicts],
            "most_held": [asdict(held) for held in most_held(config)],
        }
        print_document(document, settings)
    else:
        _print(verdicts, required, settings)
    return ExitStatus.FAILED if failed else ExitStatus.OK


def _row(verdict: Verdict, settings: Settings) -> dict[str, object]:
    return {
        "property": verdict.name,
        "path": verdict.path,
        "status": verdict.status.value,
        "message": settings.hidden(verdict.message),
        "example": example_text(verdict.example, settings),
    }


def _print(verdicts: Sequence[Verdict], required: set[str], settings: Settings) -> None:
    console = output()
    for verdict in verdicts:
        if verdict.status is Status.HOLDS or verdict.name not in required:
            continue
        line = f"  {verdict.path}: {verdict.name}: {settings.hidden(verdict.message)}"
        console.print(Text.assemble((verdict.status.value, _STYLES[verdict.status]), clean(line)), soft_wrap=True)
        example = example_text(verdict.example, settings)
        if example is not None:
            console.print(Text(f"       {clean(example)}"), soft_wrap=True)
    for name in PROPERTIES:
        counts = Counter(verdict.status for verdict in verdicts if verdict.name == name)
        if counts:
            said = ", ".join(f"{word} {counts[status]:,}" for status, word in _WORDS.items() if counts[status])
            console.print(f"{name}: {said}{'' if name in required else ' (not required)'}")
