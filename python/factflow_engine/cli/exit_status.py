"""Exit statuses of the command; one table, because scripts depend on them."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of every command."""

    OK = 0
    """It did what was asked. A pipeline that ran to its end is OK even if messages failed: they are counted and named."""
    FAILED = 1
    """The execution failed (a route died, a stage could not open, too many messages failed), or an unexpected error."""
    INVALID = 2
    """The configuration, an option or a module of adapters has to be changed first."""
    INTERRUPTED = 130
    """Ctrl-C (SIGINT), however much could still be drained."""
    OUTPUT_CLOSED = 141
    """Whoever read the output went away (`| head`)."""
    TERMINATED = 143
    """SIGTERM, however much could still be drained."""
