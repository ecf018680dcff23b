"""`factflow storage verify`: read every object, and say what is wrong."""

from dataclasses import asdict

import click

from factflow_engine.cli.console import output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, table_output_option
from factflow_engine.cli.recorded_objects import recorded_objects
from factflow_engine.cli.settings import Layout, Settings
from factflow_engine.cli.storage_access import StoragePlace, shown_progress, storage_place_options, with_storage
from factflow_engine.cli.tables import Table, names, prose
from factflow_engine.cli.text import clean, plural
from factflow_engine.executions import ExecutionStoreError
from factflow_engine.storages.verification import GRACE_SECONDS, StorageProblem, Verified, follow, verify
from factflow_protocols import LineageError, StorageProtocol


@click.command(
    "verify",
    short_help="Read every object and say what is wrong.",
    epilog="Exit status: 0 nothing is wrong (any more), 1 something is.",
)
@click.argument("prefix", default="")
@click.option(
    "--repair",
    is_flag=True,
    help="Remove what killed writers left, and complete sidecars that are half replaced. No object is changed or removed.",
)
@click.option(
    "--grace",
    "grace_seconds",
    type=click.FloatRange(min=0),
    default=GRACE_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="Leave what is younger: a writer may be at work on it.",
)
@storage_place_options
@table_output_option
@debug_option
@click.pass_obj
def verify_command(settings: Settings, *, place: StoragePlace, prefix: str, repair: bool, grace_seconds: float) -> int:
    """Read every object whose key begins with PREFIX, compare it with its checksum, and look for leftovers.

    torn: rest of a write that did not end; orphaned: metadata without an object, or an object without metadata; corrupt:
    not what was written; unreadable: the store refused; foreign: a file of another program; missing: by the executions and
    the lineage of the home, a stage has stored it there. Pipelines may run meanwhile.
    """
    problems: list[StorageProblem] = []
    unread: list[str] = []
    with shown_progress() as show:

        def told(counts: Verified) -> None:
            show(f"{plural(counts.objects, 'object')} read, {counts.size_bytes:,} bytes")

        async def look(storage: StorageProtocol) -> Verified:
            counts = await verify(
                storage,
                prefix=prefix,
                repair=repair,
                grace_seconds=grace_seconds,
                found=problems.append,
                progress=told,
            )
            try:
                async with recorded_objects(place.home, unread.append) as sources:
                    await follow(storage, sources, counts, prefix=prefix, found=problems.append, progress=told)
            except (ExecutionStoreError, LineageError) as error:
                unread.append(str(error))
            return counts

        # Records may point to objects of a folder that is gone.
        counts = with_storage(place.url, look, must_exist=place.home is None or not place.home.lineage.exists())
    problems.sort(key=lambda problem: (problem.is_repaired, problem.key))
    if settings.as_json:
        print_document(
            {
                "objects": counts.objects,
                "references": counts.references,
                "records_unread": "; ".join(unread) or None,
                "size_bytes": counts.size_bytes,
                "unfinished": counts.unfinished,
                "problems": [_document(each) for each in problems if not each.is_repaired],
                "repaired": [_document(each) for each in problems if each.is_repaired],
            },
            settings,
        )
    else:
        _print(settings, problems, counts)
    if unread:
        click.echo(f"factflow: missing objects were not looked for to the end: {clean('; '.join(unread))}", err=True)
    return ExitStatus.FAILED if counts.problems or unread else ExitStatus.OK


def _print(settings: Settings, problems: list[StorageProblem], counts: Verified) -> None:
    console = output()
    if problems:
        table = Table(*names("kind", "key"), *prose("problem"))
        for each in problems:
            table.add("repaired" if each.is_repaired else each.kind.value, each.key, each.text)
        table.print(console, settings.layout)
    if settings.layout is Layout.PLAIN:
        return
    parts = [
        f"{plural(counts.objects, 'object')} whole, {counts.size_bytes:,} bytes",
        plural(counts.problems, "problem"),
    ]
    parts += [f"{plural(counts.references, 'record')} followed"] if counts.references else []
    parts += [f"{counts.repaired:,} repaired"] if counts.repaired else []
    parts += (
        [f"{plural(counts.unfinished, 'unfinished write')}, too young to be judged (--grace)"]
        if counts.unfinished
        else []
    )
    console.print("; ".join(parts), soft_wrap=True)


def _document(problem: StorageProblem) -> dict[str, object]:
    document = asdict(problem)
    del document["is_repaired"]
    return {**document, "kind": problem.kind.value}
