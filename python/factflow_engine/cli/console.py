"""Where commands print: rich consoles that take text literally.

Made when they are needed, never kept at module level: whoever calls a command may have replaced the streams.
"""

import os
import shutil
import sys
from typing import Final, NoReturn, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from factflow_engine.cli.text import OutputClosedError

_UNWRAPPED: Final = 10_000
"""Width for readers that are not terminals: nothing is wrapped, so `grep` finds whole lines."""


class _GuardedConsole(Console):
    def on_broken_pipe(self) -> NoReturn:
        raise OutputClosedError


def console_for(stream: TextIO) -> Console:
    """A console that obeys no markup, and styles text only on a terminal and where NO_COLOR does not ask for none."""
    return _GuardedConsole(
        file=stream,
        markup=False,
        emoji=False,
        highlight=False,
        force_jupyter=False,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        width=_width(stream),
    )


def _width(stream: TextIO) -> int | None:
    """Return the width to print in; None leaves it to the terminal, which may change it."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns)
    if not stream.isatty():
        return _UNWRAPPED
    return shutil.get_terminal_size().columns if columns else None


def output() -> Console:
    """Standard output: results."""
    return console_for(sys.stdout)


def messages() -> Console:
    """Standard error: progress, warnings, errors."""
    return console_for(sys.stderr)


def table_for(console: Console) -> Table:
    """An empty table: ruled on a terminal, bare columns elsewhere."""
    return Table(box=SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, padding=(0, 2, 0, 0))
