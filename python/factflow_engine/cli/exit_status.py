"""Exit statuses of the command, in one table because scripts depend on them."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of every command."""

    OK = 0
    """Success. A pipeline that ran to its end is OK even if messages failed: they are counted and named, and
    `--fail-on-failed` asks for `MESSAGES_FAILED` instead."""
    FAILED = 1
    """Failure of the execution (a route died, a stage did not open, too many messages failed), or an unexpected
    error."""
    INVALID = 2
    """Invalid input: the configuration, an option or an adapter module has to be changed first."""
    MESSAGES_FAILED = 3
    """With `run --fail-on-failed N`: the pipeline ran to its end, and N or more messages failed or were dead-lettered."""
    CANCELLED = 4
    """Of `execution wait`: the execution was cancelled."""
    DIED = 5
    """Of `execution wait`: the execution was interrupted, because its process died."""
    STILL_RUNNING = 6
    """Of `execution wait --timeout`: the execution still runs."""
    UNRECORDED = 7
    """Of `run`: the pipeline ran to its end, and the home could not store that; `execution list` takes it for
    interrupted."""
    INTERRUPTED = 130
    """Ctrl-C (SIGINT), even if everything could still be drained."""
    OUTPUT_CLOSED = 141
    """The reader of the output went away (`| head`)."""
    TERMINATED = 143
    """SIGTERM, even if everything could still be drained."""
