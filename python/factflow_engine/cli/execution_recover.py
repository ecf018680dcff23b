"""`factflow execution recover`: go on with an execution whose process died."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import click

from factflow_engine.cli.building import app_for, queue_for
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.home import existing
from factflow_engine.cli.home_store import in_store
from factflow_engine.cli.launch import Launch
from factflow_engine.cli.options import adapters_option, debug_option, table_output_option
from factflow_engine.cli.recorded_objects import known_objects
from factflow_engine.cli.replaying import checked, refuse_id
from factflow_engine.cli.run_options import RunCommand, RunOptions, run_options
from factflow_engine.cli.running import run_pipeline
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean, plural
from factflow_engine.config.hiding import Hiding
from factflow_engine.executions import Executions, Home, RecoveryPlan, plan_recovery, recover
from factflow_engine.executions.recovery import latest_recovery
from factflow_engine.executions.replay_objects import Found
from factflow_protocols import without_password


@click.command(
    "recover",
    cls=RunCommand,
    short_help="Go on with an execution whose process died.",
    epilog="""\b
Examples:
  factflow execution recover latest
  factflow execution recover nightly --queue sqlite:///moved/queue.db

The other options, signals and exit statuses are those of `factflow run`.""",
)
@click.argument("execution", metavar="ID")
@adapters_option
@table_output_option
@run_options
@debug_option
@click.pass_obj
def recover_command(
    settings: Settings, *, execution: str, adapter_modules: tuple[str, ...], options: RunOptions
) -> int:
    """Go on with execution ID, which was interrupted, cancelled or has failed, under the id that its messages have.

    On the queue that it ran on it goes on where it stopped; --queue need not be given if the record names it, and another
    queue is refused. With queues in memory it begins again with the same messages:
    a stage that has stored its output for a message is not called for it again, sources are, and objects are overwritten
    by equal ones.
    """
    refuse_id(options, "the execution goes on under the id that it has")
    if options.idempotency_key is not None:
        raise InvalidInputError(
            "--idempotency-key cannot be given here: of several recoveries of one execution, one begins"
        )
    home = existing(options.home)
    if options.queue is None:
        options = _on_its_queue(home, execution, options)
    app = app_for(adapter_modules, queue=options.queue, allow_loss=options.allow_loss)

    async def plan(executions: Executions, progress: Callable[[Found], None]) -> RecoveryPlan:
        async with known_objects(home) as recorded:
            return await plan_recovery(
                executions.store,
                execution,
                loader=app.loader,
                queue=app.queue,
                storage=home.objects_url,
                recorded=recorded,
                progress=progress,
            )

    planned = checked(home, plan)
    settings.hidden = Hiding(planned.config.secrets)
    click.echo(f"factflow: {clean(_described(planned, options.queue_url))}", err=True)
    launch = Launch(start=partial(recover, plan=planned), messages=planned.messages, idempotency_key=planned.key)
    return run_pipeline(settings, app, planned.config, options, launch=launch)


def _on_its_queue(home: Home, named: str, options: RunOptions) -> RunOptions:
    """Return the options with the queue that the execution ran on, if its record names one."""

    async def look(executions: Executions) -> str | None:
        record = await latest_recovery(executions.store, await executions.store.execution(named))
        return record.queue

    url = in_store(home, look)
    return options if url is None else replace(options, queue=queue_for(url), queue_url=url)


def _described(plan: RecoveryPlan, queue_url: str | None) -> str:
    replayed = f", and {plural(plan.messages, 'stored message')} of its replay" if plan.messages else ""
    if plan.durable:
        return f"execution {plan.record.id} goes on with what {without_password(queue_url or '')!r} holds{replayed}"
    stores = any(
        stage.store is not None and stage.store.what == "output"
        for route in plan.config.routes.values()
        for stage in route.adapters
    )
    how = "stages take what they have stored" if stores else "no stage has stored its output, so all of it runs again"
    return f"execution {plan.record.id} begins again with the same messages{replayed}: {how}"
