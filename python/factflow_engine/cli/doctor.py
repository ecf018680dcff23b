"""`factflow doctor`: what is in the home, what it weighs, and what is wrong."""

import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

import click
import trio

from factflow_engine.cli.console import output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.home import home_of, home_option
from factflow_engine.cli.home_store import read_only
from factflow_engine.cli.interrupts import python_interrupts
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option, table_output_option
from factflow_engine.cli.recorded_objects import lineage_problems, recorded_objects
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.tables import Table, names, numbers, prose
from factflow_engine.cli.text import clean
from factflow_engine.executions import ExecutionFilter, ExecutionStoreError, ExecutionSummary
from factflow_engine.executions.home import Home, HomeError
from factflow_engine.runtime.report import ExecutionStatus
from factflow_engine.storages.providers import open_storage
from factflow_engine.storages.verification import StorageProblem, Verified, verify
from factflow_protocols import LineageError, StorageError

_MOST_NAMED: Final = 5
_PAGE_EXECUTIONS: Final = 500
_UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of the home.

    Attributes:
        name: Name of the file or folder.
        holds: Description of what is in it now.
        files: Number of its files.
        size_bytes: Bytes of them.
    """

    name: str
    holds: str
    files: int
    size_bytes: int


@click.command(
    "doctor",
    short_help="Say what is in the home, and what is wrong.",
    epilog="""\b
Examples:
  factflow doctor
  factflow doctor --home /var/lib/factflow --output json

Exit status: 0 nothing is wrong, 1 something is.""",
)
@click.option(
    "--objects/--no-objects",
    "reads_objects",
    default=True,
    help="Read every stored object and row of the lineage, or none.",
)
@home_option
@table_output_option
@debug_option
@click.pass_obj
def doctor_command(settings: Settings, *, reads_objects: bool, home: Path | None) -> int:
    """Say what is in the home, what it weighs, and what is wrong with it; change nothing.

    Wrong are: a home or a store that cannot be read, is damaged or of another version; a home that others can read;
    executions whose process died, unless they were recovered, replayed or cancelled since; lineage that cannot be read;
    torn and corrupt objects, and those that must be there by what was recorded, and are not.
    """
    place = home_of(home)
    problems: list[str] = []
    parts: list[Part] = []
    try:
        place.check()
    except HomeError as error:
        problems.append(str(error))
    else:
        if place.exists():
            problems += _open_to_others(place)
            parts = _parts(place, problems, reads_objects=reads_objects)
    if settings.as_json:
        document = {
            "home": str(place.path),
            "exists": place.exists(),
            "parts": [asdict(part) for part in parts],
            "problems": problems,
        }
        print_document({**document, "exit_status": 1 if problems else 0}, settings)
    else:
        _print(place, parts, problems, settings)
    return ExitStatus.FAILED if problems else ExitStatus.OK


def _print(place: Home, parts: Sequence[Part], problems: Sequence[str], settings: Settings) -> None:
    console = output()
    console.print(f"home {clean(str(place.path))}{'' if place.exists() else ': not there'}", soft_wrap=True)
    if parts:
        table = Table(*names("part"), *numbers("files", "bytes"), *prose("holds"))
        for part in parts:
            table.add(part.name, part.files, part.size_bytes, part.holds)
        table.print(console, settings.layout)
    for problem in problems:
        console.print(clean(f"wrong: {problem}"), style="bold red", soft_wrap=True)
    if not problems:
        console.print("nothing is wrong")


def _open_to_others(place: Home) -> list[str]:
    mode = stat.S_IMODE(place.path.stat().st_mode)
    if not mode & 0o077:
        return []
    return [f"other users may enter {place.path} (mode {mode:03o}); reports show messages: chmod 700 {place.path}"]


def _parts(place: Home, problems: list[str], *, reads_objects: bool) -> list[Part]:
    parts = []
    if place.executions.exists():
        files, size = _weight(place.executions.parent, place.executions.name)
        parts.append(Part(name="executions.db", holds=_executions(place, problems), files=files, size_bytes=size))
    if place.lineage.exists():
        files, size = _weight(place.lineage)
        parts.append(
            Part(
                name="lineage/", holds=_lineage(place, problems, reads_rows=reads_objects), files=files, size_bytes=size
            )
        )
    # Of records that cannot be read no reference is followed: that they cannot is said already.
    records = None if any(part.holds == _UNKNOWN for part in parts) else place
    is_there = place.objects.exists()
    holds = "stored objects, not read"
    if reads_objects and (is_there or records is not None):  # records may point to objects of a folder that is gone
        holds = _objects(place, records, problems)
    if is_there:
        files, size = _weight(place.objects)
        parts.append(Part(name="objects/", holds=holds, files=files, size_bytes=size))
    return parts


def _lineage(place: Home, problems: list[str], *, reads_rows: bool) -> str:
    """Note what of the lineage cannot be read."""
    try:
        with python_interrupts():
            problems += trio.run(partial(lineage_problems, place, reads_rows=reads_rows))
    except LineageError as error:
        problems.append(str(error))
        return _UNKNOWN
    return "lineage"


def _objects(place: Home, records: Home | None, problems: list[str]) -> str:
    """Read every object; return what the store holds, and note what is wrong with it, and what is missing by the records."""
    found: list[StorageProblem] = []

    async def look() -> Verified:
        storage = open_storage(place.objects_url)
        try:
            # Parts of the lineage that cannot be read are named already.
            async with recorded_objects(records, lambda _: None) as sources:
                return await verify(storage, sources=sources, found=found.append)
        finally:
            with trio.CancelScope(shield=True):
                await storage.close()

    try:
        with python_interrupts():
            counts = trio.run(look)
    except (StorageError, ExecutionStoreError, LineageError) as error:
        problems.append(str(error))
        return _UNKNOWN
    problems += [f"object {one.key!r}: {one.text}" for one in found[:_MOST_NAMED]]
    if len(found) > _MOST_NAMED:
        problems.append(f"{len(found) - _MOST_NAMED:,} more problems of objects; `factflow storage verify` has all")
    return f"{counts.objects:,} stored objects"


class _Seen:
    """Executions that were read, the latest first.

    Attributes:
        states: Number of those in each state.
    """

    def __init__(self) -> None:
        self.states: Counter[ExecutionStatus] = Counter()
        self._interrupted: list[ExecutionSummary] = []
        self._followed: set[str] = set()

    def add(self, page: Sequence[ExecutionSummary]) -> None:
        """Count some more."""
        self.states.update(one.status for one in page)
        self._interrupted += [one for one in page if one.status is ExecutionStatus.INTERRUPTED]
        self._followed.update(one.parent for one in page if one.parent is not None)

    @property
    def dead(self) -> list[ExecutionSummary]:
        """Interrupted ones that nobody has recovered or replayed since."""
        return [one for one in self._interrupted if one.id not in self._followed]


def _executions(place: Home, problems: list[str]) -> str:
    """Return what the store holds; note what is wrong with it."""

    async def look() -> tuple[int, _Seen, Sequence[str]]:
        async with read_only(place) as store:
            seen = _Seen()
            before: str | None = None
            while page := await store.executions(ExecutionFilter(before=before, limit=_PAGE_EXECUTIONS)):
                seen.add(page)
                before = page[-1].id
            return len(await store.configs()), seen, await store.examine()

    try:
        with python_interrupts():
            configs, seen, damages = trio.run(look)
    except ExecutionStoreError as error:
        problems.append(str(error))
        return _UNKNOWN
    problems += damages
    dead = seen.dead
    problems += [
        f"execution {one.id} ({one.name}) was interrupted: its process {one.pid} on {one.host} has died, or cannot reach "
        f"the store; recover it with `factflow execution recover {one.id}`, or settle it with `factflow execution cancel {one.id}`"
        for one in dead[:_MOST_NAMED]
    ]
    if len(dead) > _MOST_NAMED:
        problems.append(f"{len(dead) - _MOST_NAMED:,} more executions were interrupted")
    counted = ", ".join(f"{seen.states[status]:,} {status}" for status in ExecutionStatus if seen.states[status])
    total = f"{configs:,} configurations, {seen.states.total():,} executions"
    return total + (f" ({counted})" if counted else "")


def _weight(folder: Path, prefix: str = "") -> tuple[int, int]:
    """Return the number of files below a folder whose names begin so, and their bytes."""
    count = size = 0
    for root, folders, files in os.walk(folder):
        if prefix:
            folders.clear()
        for name in files:
            if name.startswith(prefix):
                try:
                    size += os.lstat(Path(root, name)).st_size
                except FileNotFoundError:
                    continue  # removed meanwhile
                count += 1
    return count, size
