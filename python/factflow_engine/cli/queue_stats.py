"""`factflow queue stats`: count the messages of each queue in a file."""

from dataclasses import asdict
from typing import Final

import click
from rich.text import Text

from factflow_engine.cli.console import output
from factflow_engine.cli.durable_queue import url_argument, with_queue
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, table_output_option
from factflow_engine.cli.settings import Layout, Settings
from factflow_engine.cli.tables import Column, Table, names, numbers
from factflow_engine.cli.text import clean, plural
from factflow_engine.queues.naming import execution_id_of
from factflow_protocols import StoreStatistics

_COUNTS: Final = ("waiting", "delayed", "leased", "settled", "quarantined", "capacity", "accepted")


@click.command(
    "stats",
    short_help="Count what is in each queue.",
    epilog="""\b
Examples:
  factflow queue stats sqlite:///queue.db
  factflow queue stats sqlite:////var/lib/factflow/queue.db --output json""",
)
@url_argument
@table_output_option
@debug_option
@click.pass_obj
def stats_command(settings: Settings, *, url: str) -> int:
    """Count what is in each queue of the store that URL names.

    waiting: ready to be handed out; delayed: given back and not due yet; leased: with a consumer; settled: kept for the
    retention; quarantined: could not be read (`factflow queue fsck` says why). Below, the stages of executions that
    have not completed are listed with what they keep: their states, and their answers to unacknowledged messages. With
    --output plain only the queues are printed: queue, subscription (of a topic), and the counts.
    """
    statistics = with_queue(url, lambda queues: queues.statistics())
    if settings.as_json:
        print_document(_document(statistics), settings)
        return ExitStatus.OK
    console = output()
    table = Table(*names("queue"), Column(title="subscription", optional=True), *numbers(*_COUNTS))
    for line in statistics.lines:
        table.add(line.queue, line.subscription, *(getattr(line, count) for count in _COUNTS))
    table.print(console, settings.layout)
    if settings.layout is Layout.PLAIN:
        return ExitStatus.OK
    if statistics.stages:
        _stages_table(statistics).print(console, settings.layout)
    kept = (plural(_states(statistics), "state") + " of stages", plural(_answers(statistics), "answer"))
    console.print(Text(f"{clean(statistics.summary)}, {' and '.join(kept)} kept"), soft_wrap=True)
    return ExitStatus.OK


def _stages_table(statistics: StoreStatistics) -> Table:
    table = Table(*names("execution", "stage"), *numbers("states", "bytes", "answers"))
    for stage in statistics.stages:
        name = f"{stage.route}/{stage.stage}"
        table.add(execution_id_of(stage.execution), name, stage.states, stage.state_bytes, stage.answers)
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
