"""Which way of showing an execution fits where standard error goes."""

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
    """Progress for as long as the context lasts.

    Args:
        mode: As asked for; `auto` is live on a terminal and plain elsewhere.
        title: What runs, in a few words.

    Raises:
        InvalidInputError: A live view was asked for where nothing can be redrawn.
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
