"""Progress of a comparison on standard error: a bar on a terminal, else a line at each quarter of a long one.

Kept separate from the progress of runs, which is about messages.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from factflow_engine.cli.console import messages

_LONG: Final = 200
"""Cells from which a comparison is a long one."""


@contextmanager
def told_progress(cells: int) -> Iterator[Callable[[int], None]]:
    """Yield the function that is told how many cells are done."""
    console = messages()
    if console.is_terminal:
        columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TextColumn("cells"))
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("", total=cells)
            yield lambda done: progress.update(task, completed=done)
        return

    def told(done: int) -> None:
        if cells >= _LONG and done * 4 // cells > (done - 1) * 4 // cells:
            click.echo(f"factflow: {done} of {cells} cells", err=True)

    yield told
