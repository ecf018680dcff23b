"""Python's logging on the terminal of a run: printed above a live view, not through it.

Records of the engine and of the pipeline's own `log` stages are shown from `--log-level` on, those of other libraries
from WARNING on.
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
