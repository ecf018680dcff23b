"""`factflow queue fsck`: check a queue's file, and repair it."""

import click

from factflow_engine.cli.durable_queue import url_argument, with_queue
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean, plural
from factflow_protocols import QueueAdministration, StoreProblem


@click.command(
    "fsck",
    short_help="Check a file, and mend it if asked to.",
    epilog="Exit status: 0 nothing is wrong (any more), 1 something is.",
)
@url_argument
@click.option(
    "--repair",
    is_flag=True,
    help="Mend what can be mended; damaged messages go to quarantine, which `queue purge --quarantined` empties.",
)
@output_option
@debug_option
@click.pass_obj
def fsck_command(settings: Settings, *, url: str, repair: bool) -> int:
    """Read every row of the file that URL names and say what is wrong with it."""
    mended, problems = with_queue(url, _mend_and_check if repair else _check)
    if settings.as_json:
        print_document(
            {"mended": [_row(each) for each in mended], "problems": [_row(each) for each in problems]}, settings
        )
    else:
        for word, found in (("mended", mended), ("problem", problems)):
            for each in found:
                click.echo(f"{word}: {clean(each.queue)}{': ' if each.queue else ''}{clean(each.text)}")
        click.echo(
            f"{plural(len(mended), 'problem')} mended, {len(problems)} left"
            if repair
            else plural(len(problems), "problem")
        )
    return ExitStatus.FAILED if problems else ExitStatus.OK


async def _check(queues: QueueAdministration) -> tuple[list[StoreProblem], list[StoreProblem]]:
    return [], list(await queues.check())


async def _mend_and_check(queues: QueueAdministration) -> tuple[list[StoreProblem], list[StoreProblem]]:
    return list(await queues.repair()), list(await queues.check())


def _row(problem: StoreProblem) -> dict[str, object]:
    return {"queue": problem.queue, "text": problem.text, "mendable": problem.mendable}
