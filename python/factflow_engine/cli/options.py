"""Options that several commands share, so that their names and help agree.

Callbacks fill in the invocation's `Settings`; commands get only their own options as parameters.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from factflow_engine.cli.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

_OUTPUTS: Final = ("text", "json")


def _set_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    settings = ctx.ensure_object(Settings)
    settings.debug = settings.debug or value


def _set_output(ctx: click.Context, _: click.Parameter, value: str) -> None:
    ctx.ensure_object(Settings).as_json = value == "json"


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
    """Add `--output text|json`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(_OUTPUTS),
        default="text",
        show_default=True,
        is_eager=True,
        expose_value=False,
        callback=_set_output,
        help="What standard output gets: text for people, or one JSON document.",
    )(command)


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
