"""Choice of the display that suits standard error."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from factflow_engine.cli.console import messages
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.progress.base import Progress
from factflow_engine.cli.progress.live import LiveProgress
from factflow_engine.cli.progress.plain import PlainProgress


class ProgressMode(StrEnum):
    """Values of `--progress`."""

    AUTO = "auto"
    LIVE = "live"
    PLAIN = "plain"
    NONE = "none"


@contextmanager
def open_progress(mode: ProgressMode, *, title: str) -> Iterator[Progress]:
    """Open a display for the duration of the context.

    Args:
        mode: The mode asked for; `auto` is live on a terminal and plain elsewhere.
        title: Short description of what runs.

    Raises:
        InvalidInputError: A live view was asked for, but standard error is not a terminal.
    """
    console = messages()
    redrawable = sys.stderr.isatty() and not console.is_dumb_terminal
    if mode is ProgressMode.LIVE and not redrawable:
        raise InvalidInputError(
            "--progress live needs a terminal on standard error; use --progress plain, or leave it to --progress auto"
        )
    if mode is ProgressMode.NONE:
        yield Progress(console)
    elif mode is ProgressMode.PLAIN or not redrawable:
        yield PlainProgress(console)
    else:
        with LiveProgress(console, title=title) as live:
            yield live
