"""`factflow queue`: inspect and maintain the file of a durable queue."""

from typing import Final

import click

from factflow_engine.cli.lazy import LazyCommand, LazyGroup

_COMMANDS: Final = {
    "stats": LazyCommand(
        target="factflow_engine.cli.queue_stats:stats_command",
        summary="Count what is in each queue.",
    ),
    "purge": LazyCommand(
        target="factflow_engine.cli.queue_purge:purge_command",
        summary="Delete the messages that wait in a queue.",
    ),
    "forget": LazyCommand(
        target="factflow_engine.cli.queue_forget:forget_command",
        summary="Remove a queue, a subscription, or an execution.",
    ),
    "fsck": LazyCommand(
        target="factflow_engine.cli.queue_fsck:fsck_command",
        summary="Check a file, and mend it if asked to.",
    ),
}


@click.group(
    "queue",
    cls=LazyGroup,
    commands_by_name=_COMMANDS,
    short_help="Look into durable queues and keep them in order.",
)
def queue_group() -> None:
    """Look into durable queues and keep them in order, also while pipelines use them."""
