"""Python's logging on the terminal of a run, above a live view and not through it.

Only what the engine and the pipeline's own `log` stages say is shown from `--log-level` on; other libraries are heard
from warnings on.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from factflow_engine.cli.progress import Progress

_OURS: Final = ("factflow", "factflow_engine")


class _ProgressHandler(logging.Handler):
    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        self._progress.say(f"{record.levelname.lower()}: {self.format(record)}")


@contextmanager
def logs_through(progress: Progress, *, level: str) -> Iterator[None]:
    """Send log records to the progress for as long as the context lasts, then put logging back as it was."""
    handler = _ProgressHandler(progress)
    root = logging.getLogger()
    ours = [logging.getLogger(name) for name in _OURS]
    before = [logger.level for logger in ours]
    root.addHandler(handler)
    for logger in ours:
        logger.setLevel(level.upper())
    try:
        yield
    finally:
        root.removeHandler(handler)
        for logger, its_level in zip(ours, before, strict=True):
            logger.setLevel(its_level)
