"""Options that several commands share, so that their names and help agree.

Callbacks fill in the invocation's `Settings`; commands get only their own options as parameters.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from itertools import pairwise, takewhile
from typing import Any, TypeVar, cast

import click

from factflow_engine.cli.settings import Layout, Settings
from factflow_engine.cli.streams import reserve_results

F = TypeVar("F", bound=Callable[..., Any])


def _set_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    settings = ctx.ensure_object(Settings)
    settings.debug = settings.debug or value


def _set_output(ctx: click.Context, _: click.Parameter, value: str) -> None:
    settings = ctx.ensure_object(Settings)
    settings.as_json = value == "json"
    settings.layout = Layout.TEXT if settings.as_json else Layout(value)


def asks_json(arguments: Sequence[str]) -> bool:
    """True if these arguments have `--output json`, in any of the forms that click knows; for those it cannot parse."""
    named = takewhile(lambda argument: argument != "--", arguments)
    return any(
        one in ("-ojson", "--output=json") or (one in ("-o", "--output") and other == "json")
        for one, other in pairwise([*named, ""])
    )


def debug_option(command: F) -> F:
    """Add `--debug`."""
    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_set_debug,
        help="Show the traceback of an error.",
    )(command)


def output_option(command: F) -> F:
    """Add `--output text|json`; a JSON document has standard output for itself while the command runs."""
    return _output_option(
        command, ("text", "json"), "What standard output gets: text for people, or one JSON document."
    )


def table_output_option(command: F) -> F:
    """Add `--output text|plain|wide|json`, for commands that print a table; see `output_option`."""
    return _output_option(
        command,
        (*(layout.value for layout in Layout), "json"),
        "What standard output gets: text for people, plain rows with tabs between cells and no headings, wide rows of which "
        "nothing is cut, or one JSON document.",
    )


def _output_option(command: F, choices: Sequence[str], meaning: str) -> F:
    @wraps(command)
    def reserving(*arguments: Any, **options: Any) -> Any:
        settings = click.get_current_context().ensure_object(Settings)
        if settings.as_json or settings.layout is Layout.PLAIN:
            reserve_results(owns_process=settings.owns_process)
        return command(*arguments, **options)

    return click.option(
        "-o",
        "--output",
        type=click.Choice(choices),
        default="text",
        show_default=True,
        is_eager=True,
        expose_value=False,
        callback=_set_output,
        help=meaning,
    )(cast("F", reserving))


def allow_loss_option(command: F) -> F:
    """Add `--allow-loss`."""
    return click.option(
        "--allow-loss",
        is_flag=True,
        help="With --queue: accept stages that keep in memory what a crash then takes away (E306).",
    )(command)


def no_imports_option(command: F) -> F:
    """Add `--no-imports`."""
    return click.option(
        "--no-imports",
        "no_imports",
        is_flag=True,
        help="Import nothing: no plug-in, no module of --adapters, no function of call. Says what is then not checked.",
    )(command)


def adapters_option(command: F) -> F:
    """Add `--adapters MODULE|FILE.py`, repeatable."""
    return click.option(
        "-a",
        "--adapters",
        "adapter_modules",
        multiple=True,
        metavar="MODULE|FILE.py",
        help="Also load the adapters of this module or Python file; may be repeated.",
    )(command)
