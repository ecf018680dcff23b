"""Replays for operators: checked, described, and run.

Kept separate from the commands `replay` and `fork`, which differ only in whose configuration runs.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, NamedTuple, TypeVar

import click

from factflow_engine.app import App
from factflow_engine.cli.console import output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.findings import findings_document
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.home import existing
from factflow_engine.cli.home_store import in_store
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.launch import Launch
from factflow_engine.cli.recorded_objects import known_objects
from factflow_engine.cli.run_options import RunOptions
from factflow_engine.cli.running import run_pipeline
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.storage_access import shown_progress
from factflow_engine.cli.text import clean, plural
from factflow_engine.config import ConfigurationError, PipelineGlobalConfig
from factflow_engine.config.hiding import Hiding
from factflow_engine.error_texts import sole_cause
from factflow_engine.errors import StorageProviderError
from factflow_engine.executions import ExecutionFilter, Executions, Home, ReplayError, ReplayPlan
from factflow_engine.executions.replay import plan_replay, replay
from factflow_engine.executions.replay_objects import Found
from factflow_protocols import QueueError, StorageUrlError

T = TypeVar("T")

_MOST_STAGES: Final = 20
"""Most stages that are listed for people."""


class Wanted(NamedTuple):
    """A replay as the operator asks for it; see `plan_replay`."""

    execution: str
    from_stage: str
    from_route: str | None
    to_route: str | None


def run_replay(
    settings: Settings,
    app: App,
    options: RunOptions,
    wanted: Wanted,
    *,
    config: PipelineGlobalConfig | None,
    is_dry: bool,
) -> int:
    """Check a replay, and describe or run it; return the exit status.

    Raises:
        InvalidInputError: It cannot be made as it was asked for; nothing was published.
    """
    refuse_id(options, "a replay has an id of its own")
    home = existing(options.home)

    async def plan(executions: Executions, progress: Callable[[Found], None]) -> tuple[ReplayPlan, int]:
        parent = await executions.store.execution(wanted.execution)
        async with known_objects(home) as recorded:
            found = await plan_replay(
                parent,
                loader=app.loader,
                from_stage=wanted.from_stage,
                from_route=wanted.from_route,
                to_route=wanted.to_route,
                config=config,
                storage=home.objects_url,
                recorded=recorded,
                progress=progress,
            )
        if parent.scope == parent.id:
            return found, 1
        runs = await executions.store.executions(ExecutionFilter(scope=parent.scope))
        ids = {run.id for run in runs}
        return found, sum(run.parent not in ids for run in runs)  # an execution and its recoveries are one

    planned, sharing = checked(home, plan)
    settings.hidden = Hiding({**({} if config is None else config.secrets), **planned.config.secrets})
    durable = options.queue is not None and options.queue.outlives_process
    if sharing > 1:
        click.echo(
            f"factflow: {sharing} recorded executions ran as {clean(planned.parent.scope)!r}; their objects lie together, and "
            "all of them are meant",
            err=True,
        )
    if is_dry:
        _describe(planned, settings)
        return ExitStatus.OK
    place = planned.place
    click.echo(
        f"factflow: replaying {plural(planned.messages, 'message')} of stage {clean(place.route)}/{clean(place.stage)} into "
        f"route {clean(planned.derived.entry)}",
        err=True,
    )
    key = options.idempotency_key
    start = partial(replay, plan=planned, durable=durable, idempotency_key=key)
    launch = Launch(start=start, messages=planned.messages, idempotency_key=key)
    return run_pipeline(settings, app, planned.config, options, launch=launch)


def checked(home: Home, plan: Callable[[Executions, Callable[[Found], None]], Awaitable[T]]) -> T:
    """Run a check with the executions of a home, and show how many objects it has read.

    Raises:
        InvalidInputError: What was asked for cannot be done.
    """

    async def call(executions: Executions) -> T:
        with shown_progress() as show:
            return await plan(executions, lambda found: show(f"{found.objects:,} objects read"))

    with _refusals():
        return in_store(home, call)


def refuse_id(options: RunOptions, why: str) -> None:
    """Refuse the option `--id`.

    Raises:
        InvalidInputError: It is given.
    """
    if options.execution_id is not None:
        raise InvalidInputError(f"--id cannot be given here: {why}")


@contextmanager
def _refusals() -> Iterator[None]:
    """Raise what the operator has to act upon as errors of the input, also out of nurseries' groups."""
    try:
        yield
    except Exception as error:
        cause = sole_cause(error)
        if isinstance(cause, ConfigurationError):
            document = {"status": "invalid", "findings": findings_document(cause.findings)}
            raise InvalidInputError(f"{_unloadable(cause)}\n{cause}", document) from error
        if isinstance(cause, (QueueError, ReplayError, StorageProviderError, StorageUrlError)):
            raise InvalidInputError(str(cause)) from error
        raise


def _unloadable(error: ConfigurationError) -> str:
    if any(finding.code == "E103" for finding in error.findings):
        return "adapters that it ran with are not here; name their modules as its run did, with --adapters"
    return "what it ran cannot be run any more"


def _describe(plan: ReplayPlan, settings: Settings) -> None:
    place, derived, found = plan.place, plan.derived, plan.publication.found
    if settings.as_json:
        print_document(
            {
                "status": "planned",
                "parent": plan.parent.id,
                "from": f"{place.route}/{place.stage}",
                "what": place.what,
                "entry": derived.entry,
                "objects": found.objects,
                "size_bytes": found.size_bytes,
                "first_keys": list(found.first_keys),
                "runs": list(derived.runs),
                "does_not_run": list(derived.skipped),
                "config_hash": plan.config.hash,
            },
            settings,
        )
        return
    made = "it made" if place.what == "output" else "came to it"
    lines = [
        ("execution", plan.parent.id),
        ("would publish", f"{plural(found.objects, 'message')}, {plural(found.size_bytes, 'byte')}"),
        ("from stage", f"{place.route}/{place.stage}, what {made}"),
        ("into route", derived.entry),
        ("runs", _listed(derived.runs)),
        ("does not run", _listed(derived.skipped)),
        *(("first objects" if not number else "", key) for number, key in enumerate(found.first_keys)),
    ]
    console = output()
    for title, value in lines:
        console.print(f"{title + ':' if title else '':<15}{clean(value)}", soft_wrap=True)
    click.echo("factflow: nothing was published", err=True)


def _listed(stages: tuple[str, ...]) -> str:
    more = f" and {len(stages) - _MOST_STAGES} more" if len(stages) > _MOST_STAGES else ""
    return (", ".join(stages[:_MOST_STAGES]) or "no stage") + more
