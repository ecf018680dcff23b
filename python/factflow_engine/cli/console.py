"""Consoles that commands print to; they take text literally.

Created when they are needed, never kept at module level: the caller of a command may have replaced the streams.
"""

import os
import shutil
import sys
from typing import Final, NoReturn, TextIO

from rich.console import Console

from factflow_engine.cli.streams import results
from factflow_engine.cli.text import OutputClosedError

_UNWRAPPED: Final = 10_000
"""Width for readers that are not terminals: nothing is wrapped, so that `grep` finds whole lines."""

_SIZES: Final = ("COLUMNS", "LINES")
"""Variables that Rich takes for sizes, and fails at where they are none."""


class _GuardedConsole(Console):
    def on_broken_pipe(self) -> NoReturn:
        raise OutputClosedError


def console_for(stream: TextIO) -> Console:
    """Return a console that ignores markup, and styles text only on a terminal without NO_COLOR."""
    return _GuardedConsole(
        file=stream,
        markup=False,
        emoji=False,
        highlight=False,
        force_jupyter=False,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        width=_width(stream),
        _environ={name: value for name, value in os.environ.items() if name not in _SIZES or _is_size(value)},
    )


def _is_size(text: str) -> bool:
    return text.isdecimal() and int(text) > 0


def _width(stream: TextIO) -> int | None:
    """Return the width to print in; None leaves it to the terminal, which may change it."""
    columns = os.environ.get("COLUMNS", "")
    if _is_size(columns):
        return int(columns)
    if not stream.isatty():
        return _UNWRAPPED
    return shutil.get_terminal_size().columns if columns else None


def output() -> Console:
    """Return the console on standard output, for results."""
    return console_for(results())


def messages() -> Console:
    """Return the console on standard error, for progress, warnings and errors."""
    return console_for(sys.stderr)
