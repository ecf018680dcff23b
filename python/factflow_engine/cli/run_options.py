"""Options of the commands that run a pipeline: `run`, and `config run` for stored ones.

Kept separate from the commands because both take the same, and `running` takes them as one value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from factflow_engine.cli.building import queue_for
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.home import home_of, home_option
from factflow_engine.cli.options import allow_loss_option
from factflow_engine.cli.progress import ProgressMode
from factflow_engine.cli.run_input import DRAIN_SECONDS, parsed_metadata
from factflow_engine.executions.home import Home
from factflow_protocols import QueueProtocol

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options of the operator besides the pipeline.

    Attributes:
        progress: Display on standard error.
        queue: Provider of the queues; None for one in memory.
        queue_url: Its URL, as given.
        allow_loss: True to run stages that can lose what they keep.
        execution_id: Id of the execution's messages in the queue; None for the pipeline's name.
        drain_timeout: Seconds that the first Ctrl-C gives to work; None for the configuration's.
        forever: True if only a signal ends the run.
        fail_on_failed: Number of failed messages for exit status 3; None for none.
        record_latency: File for what calls took.
        log_level: Least level of log lines.
        home: Home that the run is recorded in, if it is there or asked for.
        tag: Label of the record.
        metadata: Values of the record.
        idempotency_key: Key that begins one execution only.
    """

    progress: ProgressMode
    queue: QueueProtocol | None
    queue_url: str | None
    allow_loss: bool
    execution_id: str | None
    drain_timeout: float | None
    forever: bool
    fail_on_failed: int | None
    record_latency: Path | None
    log_level: str
    home: Home
    tag: str
    metadata: Mapping[str, Any]
    idempotency_key: str | None

    @property
    def asks_for_a_record(self) -> bool:
        """True if an option makes sense only for a run that is recorded."""
        return bool(self.tag or self.metadata or self.idempotency_key is not None or self.home.is_named)


class RunCommand(click.Command):
    """Command whose option `--fail-on-failed` takes its number only if one follows."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """See click, which would take whatever follows for the number: the pipeline's file, for example."""
        options = list(takewhile("--".__ne__, args))
        for place, following in enumerate([*options[1:], ""]):
            if options[place] == "--fail-on-failed" and not following.isdecimal():
                options[place] += "=1"
        return super().parse_args(ctx, options + args[len(options) :])


_OPTIONS = (
    click.option(
        "--progress",
        "progress_mode",
        type=click.Choice([mode.value for mode in ProgressMode]),
        default=ProgressMode.AUTO.value,
        show_default=True,
        help="What standard error shows meanwhile; auto is live on a terminal and plain elsewhere.",
    ),
    click.option(
        "--queue",
        "queue_url",
        metavar="URL",
        help="Keep messages in this queue, as in sqlite:///queue.db, rather than in memory.",
    ),
    allow_loss_option,
    click.option(
        "--id",
        "execution_id",
        metavar="ID",
        help="Whose messages in the queue these are; by default the pipeline's name. Needs --queue.",
    ),
    click.option(
        "--drain-timeout",
        type=click.FloatRange(min=0, max=86_400),
        metavar="SECONDS",
        help="How long the first Ctrl-C lets work finish; 0 cancels at once.  [default: the configuration's "
        f"orchestrator.drain_seconds, or {DRAIN_SECONDS:g}]",
    ),
    click.option("--forever", is_flag=True, help="Wait for more messages until a signal arrives. Needs --queue."),
    click.option(
        "--fail-on-failed",
        type=click.IntRange(min=1),
        is_flag=False,
        flag_value=1,
        metavar="[N]",
        help="Exit with status 3 if N or more messages failed or were dead-lettered; N is 1 if left out. To end the run "
        "early, set orchestrator.max_failed_messages.",
    ),
    click.option(
        "--record-latency",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Write how long each call of an adapter took, a line of JSON each, for `factflow bench limits --trace FILE`.",
    ),
    click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        default="info",
        show_default=True,
        help="Least level of the pipeline's own log lines.",
    ),
    home_option,
    click.option("--tag", default="", metavar="TEXT", help="Label of the run's record, to find it by."),
    click.option(
        "--metadata",
        "metadata_texts",
        multiple=True,
        metavar="NAME=VALUE",
        help="Value for the run's record; JSON if it is, else text. May be repeated.",
    ),
    click.option(
        "--idempotency-key",
        metavar="KEY",
        help="Start nothing if a run with this key is recorded in the home: of several at once, one starts.",
    ),
)


def run_options(command: F) -> F:
    """Add the options, which the command gets as one `RunOptions` named `options`."""

    @wraps(command)
    def collecting(
        *arguments: Any,
        progress_mode: str,
        queue_url: str | None,
        allow_loss: bool,
        execution_id: str | None,
        drain_timeout: float | None,
        forever: bool,
        fail_on_failed: int | None,
        record_latency: Path | None,
        log_level: str,
        home: Path | None,
        tag: str,
        metadata_texts: tuple[str, ...],
        idempotency_key: str | None,
        **others: Any,
    ) -> Any:
        queue = queue_for(queue_url)
        _check_options(queue, execution_id, forever=forever)
        options = RunOptions(
            progress=ProgressMode(progress_mode),
            queue=queue,
            queue_url=queue_url,
            allow_loss=allow_loss,
            execution_id=execution_id,
            drain_timeout=drain_timeout,
            forever=forever,
            fail_on_failed=fail_on_failed,
            record_latency=record_latency,
            log_level=log_level,
            home=home_of(home),
            tag=tag,
            metadata=parsed_metadata(metadata_texts),
            idempotency_key=idempotency_key,
        )
        return command(*arguments, options=options, **others)

    optional: Any = collecting
    for option in reversed(_OPTIONS):
        optional = option(optional)
    return cast("F", optional)


def _check_options(queue: QueueProtocol | None, execution_id: str | None, *, forever: bool) -> None:
    """Refuse options that need a queue.

    Raises:
        InvalidInputError: There is none, or one that does not outlive the process.
    """
    if execution_id is not None and queue is None:
        raise InvalidInputError("--id names an execution's messages in a queue: add --queue URL")
    if forever and (queue is None or not queue.outlives_process):
        raise InvalidInputError(
            "--forever waits for messages of other programs, and none can reach queues in memory: add --queue "
            "sqlite:///queue.db, or leave out --forever"
        )
