"""`factflow queue stats`: count the messages of each queue in a file."""

from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from factflow_engine.cli.console import output, table_for
from factflow_engine.cli.durable_queue import url_argument, with_queue
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean, plural
from factflow_engine.queues.naming import execution_id_of
from factflow_protocols import StoreStatistics


@click.command(
    "stats",
    short_help="Count what is in each queue.",
    epilog="""\b
Examples:
  factflow queue stats sqlite:///queue.db
  factflow queue stats sqlite:////var/lib/factflow/queue.db --output json""",
)
@url_argument
@output_option
@debug_option
@click.pass_obj
def stats_command(settings: Settings, *, url: str) -> int:
    """Count what is in each queue of the store that URL names.

    waiting: ready to be handed out; delayed: given back and not due yet; leased: with a consumer; settled: kept for the
    retention; quarantined: could not be read (`factflow queue fsck` says why). Below, the stages of executions that
    have not completed are listed with what they keep: their states, and their answers to unacknowledged messages.
    """
    statistics = with_queue(url, lambda queues: queues.statistics())
    if settings.as_json:
        print_document(_document(statistics), settings)
        return ExitStatus.OK
    console = output()
    table = table_for(console)
    table.add_column("queue", overflow="fold")
    for name in ("waiting", "delayed", "leased", "settled", "quarantined", "capacity", "accepted"):
        table.add_column(name, justify="right")
    for line in statistics.lines:
        name = f"{line.queue} ({line.subscription})" if line.subscription else line.queue
        counts = (line.waiting, line.delayed, line.leased, line.settled, line.quarantined, line.capacity, line.accepted)
        table.add_row(Text(clean(name)), *(f"{count:,}" for count in counts))
    console.print(table)
    if statistics.stages:
        console.print(_stages_table(console, statistics))
    kept = (plural(_states(statistics), "state") + " of stages", plural(_answers(statistics), "answer"))
    console.print(Text(f"{clean(statistics.summary)}, {' and '.join(kept)} kept"))
    return ExitStatus.OK


def _stages_table(console: Console, statistics: StoreStatistics) -> Table:
    table = table_for(console)
    table.add_column("execution", overflow="fold")
    table.add_column("stage", overflow="fold")
    for name in ("states", "bytes", "answers"):
        table.add_column(name, justify="right")
    for stage in statistics.stages:
        names = (execution_id_of(stage.execution), f"{stage.route}/{stage.stage}")
        counts = (stage.states, stage.state_bytes, stage.answers)
        table.add_row(*(Text(clean(name)) for name in names), *(f"{count:,}" for count in counts))
    return table


def _states(statistics: StoreStatistics) -> int:
    return sum(stage.states for stage in statistics.stages)


def _answers(statistics: StoreStatistics) -> int:
    return sum(stage.answers for stage in statistics.stages)


def _document(statistics: StoreStatistics) -> dict[str, object]:
    return {
        **statistics.figures,
        "states": _states(statistics),
        "answers": _answers(statistics),
        "stages": [asdict(stage) for stage in statistics.stages],
        "lines": [asdict(line) for line in statistics.lines],
    }
