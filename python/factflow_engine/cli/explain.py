"""`factflow explain MESSAGE_ID`: everything that is recorded of one message, in one answer."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import trio
from rich.text import Text

from factflow_engine.cli.console import output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.home import home_of
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.lineage_family import Passage, ancestors, passages, way_document
from factflow_engine.cli.lineage_list import STYLES
from factflow_engine.cli.lineage_store import (
    error_of,
    message_of,
    reason_of,
    row_document,
    store_options,
    with_lineage,
)
from factflow_engine.cli.options import debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean, plural
from factflow_engine.cli.times import duration, when
from factflow_engine.errors import StorageProviderError
from factflow_engine.stages.keys import object_key
from factflow_engine.storages.content import closed
from factflow_engine.storages.providers import open_storage
from factflow_protocols import LineageEntry, LineageReader, StageStatus, StorageError, StorageProtocol, StorageUrlError

_MOST_CHILDREN: Final = 10
_MOST_OBJECTS: Final = 1_000
_LABEL: Final = 12
_INDENT: Final = "    "


class Stored(NamedTuple):
    """An object of the message.

    Attributes:
        key: Its key, or the beginning of the key that it would have.
        size_bytes: Its size; None if no storage was asked, or it cannot be read.
        problem: What is wrong with it; None if nothing is.
    """

    key: str
    size_bytes: int | None
    problem: str | None = None


class Explanation(NamedTuple):
    """All that is known.

    Attributes:
        message_id: The message.
        ways: Its ways through routes.
        ancestors: Those of its ancestors, the root's first.
        children: Ways of the first children.
        more_children: True if there are others.
        objects: Its objects; without a storage, the keys that they would have.
        storage: URL of the storage that was asked; None if there is none.
        unread: Reason why its objects, or some of them, could not be looked up; None if they could.
    """

    message_id: bytes
    ways: Sequence[Passage]
    ancestors: Sequence[Passage]
    children: Sequence[Passage]
    more_children: bool
    objects: Sequence[Stored]
    storage: str | None
    unread: str | None


@click.command(
    "explain",
    short_help="Explain what happened to one message, and why.",
    epilog="""\b
Examples:
  factflow explain 018f3c2a9b7c4d5e
  factflow explain 018f3c2a9b7c4d5e --output json | jq .passages[0].outcome""",
)
@click.argument("message_id")
@click.option(
    "--storage",
    "storage_url",
    metavar="URL",
    help="Object store to look for the message's objects in; by default that of the home, if there is one.",
)
@store_options
@output_option
@debug_option
@click.pass_obj
def explain_command(
    settings: Settings, *, home: Path | None, url: str | None, message_id: str, storage_url: str | None
) -> int:
    """Explain what happened to the message whose id begins with MESSAGE_ID (4 digits or more).

    Where it came from, which conditions skipped which stages and why, each attempt, how long it waited for what, how it
    ended, what it became, and where its objects lie.
    """
    storage = storage_url if storage_url is not None else _home_storage(home)

    async def explain(reader: LineageReader) -> Explanation:
        identity = await message_of(reader, message_id)
        family = await ancestors(reader, identity)
        own = [way for way in family if way.message_id == identity]
        ids = await reader.children(identity, limit=_MOST_CHILDREN + 1)
        elder = [way for way in family if way.message_id != identity]
        objects, unread = await _objects(own, elder, storage)
        return Explanation(
            message_id=identity,
            ways=own,
            ancestors=elder,
            children=passages(await reader.messages(ids[:_MOST_CHILDREN])),
            more_children=len(ids) > _MOST_CHILDREN,
            objects=objects,
            storage=storage,
            unread=unread,
        )

    found = with_lineage(home, url, explain)
    if settings.as_json:
        print_document(_document(found), settings)
        return ExitStatus.OK
    console = output()
    for line in _lines(found):
        console.print(line, soft_wrap=not console.is_terminal)
    return ExitStatus.OK


def _home_storage(home: Path | None) -> str | None:
    found = home_of(home)
    return found.objects_url if found.objects.is_dir() else None


async def _objects(
    ways: Sequence[Passage], family: Sequence[Passage], url: str | None
) -> tuple[list[Stored], str | None]:
    """Return the objects of a message's visits, or the keys that they would have, and why they could not be looked up.

    A message that a stage emitted was stored by that stage, which it has not visited itself: its parent has.
    """
    own = {(way.execution_id, way.route) for way in ways}
    parents = [way for way in family if way.message_id == ways[0].parent_id and (way.execution_id, way.route) in own]
    prefixes = dict.fromkeys(
        object_key(way.execution_id, way.route, row.stage, ways[0].message_id.hex())
        for way in [*parents, *ways]
        for row in way.visits
        if row.status != StageStatus.SKIPPED
    )
    if url is None:
        return [Stored(prefix, None) for prefix in prefixes], None
    found: list[Stored] = []
    try:
        storage = open_storage(url)
    except (StorageUrlError, StorageProviderError) as error:
        raise InvalidInputError(f"its objects cannot be looked up: {error}") from error
    try:
        for prefix in prefixes:
            async with closed(storage.list(prefix)) as keys:
                async for key in keys:
                    if len(found) < _MOST_OBJECTS:
                        found.append(await _stored(storage, key))
    except StorageError as error:
        return found, str(error)
    finally:
        with trio.CancelScope(shield=True):
            await storage.close()
    return found, None


async def _stored(storage: StorageProtocol, key: str) -> Stored:
    try:
        return Stored(key, (await storage.metadata(key)).size_bytes)
    except StorageError as error:
        return Stored(key, None, str(error).removeprefix(f"object {key!r}: "))


def _lines(found: Explanation) -> Iterator[Text]:
    yield Text(f"Message {found.message_id.hex()}", style="bold")
    yield from _origin(found)
    for way in found.ways:
        yield Text()
        yield from _way(way, several=len({each.execution_id for each in found.ways}) > 1)
    yield Text()
    yield from _became(found)
    yield from _objects_of(found)


def _origin(found: Explanation) -> Iterator[Text]:
    if not found.ways:
        return
    first = found.ways[0]
    yield _labelled("execution", ", ".join(dict.fromkeys(way.execution_id for way in found.ways)))
    if first.parent_id is None:
        yield _labelled("came from", "outside: it is a root, which no other message emitted")
        return
    if not any(way.message_id == first.parent_id for way in found.ancestors):
        yield _labelled("came from", f"{first.parent_id.hex()}, of which nothing is recorded")
        return
    label = "came from"
    for way in reversed(found.ancestors):
        last = way.visits[-1].stage if way.visits else ""
        yield _labelled(
            label, f"{way.message_id.hex()}  {clean(way.route)}{'/' if last else ''}{clean(last)}  {way.state}"
        )
        label = "of"


def _way(way: Passage, *, several: bool) -> Iterator[Text]:
    head = f"Route {clean(way.route)}"
    if several:
        head += f" in execution {clean(way.execution_id)}"
    style = STYLES.get(way.state.partition(" ")[0], "green")
    after = ""
    if way.outcome is not None:
        attempts = f" after {way.outcome.attempts} attempts" if way.outcome.attempts > 1 else ""
        after = f"{attempts}, {when(way.outcome.ended_ns)} UTC"
    yield Text.assemble((head, "bold"), ": ", (clean(way.state).replace("_", "-"), style), after)
    numbers = list(dict.fromkeys(row.attempt for row in way.visits))
    for attempt in numbers:
        rows = [row for row in way.visits if row.attempt == attempt]
        if len(numbers) > 1 or attempt > 1:
            yield Text(f"  attempt {attempt}, {when(min(row.started_ns for row in rows))} UTC")
        width = max(len(clean(row.stage)) for row in rows)
        for row in rows:
            yield from _visit(row, width)
    if way.outcome is not None:
        said = error_of(way.outcome)
        if said and not any(error_of(row) == said for row in way.visits):
            yield Text(f"  {clean(said)}", style="red")
        reason = reason_of(way.outcome) or _unsaid(way)
        if reason:
            yield Text(f"  {clean(reason)}")


def _unsaid(way: Passage) -> str:
    """Return why a message was filtered, of which the rows say only that it was: the last stage called made no message."""
    called = [row.stage for row in way.visits if row.status == StageStatus.COMPLETED]
    if way.outcome is None or way.outcome.outcome != "filtered" or not called:
        return ""
    return f"{called[-1]} made no message of it"


def _visit(row: LineageEntry, width: int) -> Iterator[Text]:
    took = duration(row.duration_ns) if row.duration_ns else ""
    waited = f"  waited {duration(row.waited_ns)} for {clean(row.waited_for or 'something')}" if row.waited_ns else ""
    line = Text.assemble(
        _INDENT,
        clean(row.stage).ljust(width),
        "  ",
        (row.status.ljust(9), STYLES.get(row.status, "")),
        f"  {took:>8}",
        waited,
    )
    line.rstrip()
    yield line
    said = error_of(row)
    if said:
        yield Text(f"{_INDENT}{' ' * width}  {clean(said)}", style="red")
    reason = reason_of(row)
    if reason:
        yield Text(f"{_INDENT}{' ' * width}  {clean(reason)}", style="dim")


def _became(found: Explanation) -> Iterator[Text]:
    if not found.children:
        yield _labelled("became", "nothing that is recorded")
        return
    label = "became"
    for way in found.children:
        yield _labelled(label, f"{way.message_id.hex()}  {clean(way.route)}  {way.state}")
        label = ""
    if found.more_children:
        yield _labelled("", f"and more: factflow lineage children {found.message_id.hex()}")


def _objects_of(found: Explanation) -> Iterator[Text]:
    if found.unread is not None:
        yield Text(f"  {'objects':<{_LABEL}}cannot all be looked up: {clean(found.unread)}", style="red")
    elif found.storage is not None and not found.objects:
        yield _labelled("objects", "none: no stage stored it in the store that was asked (--storage names another)")
        return
    label = "objects" if found.unread is None else ""
    if found.storage is None:
        yield _labelled(label, "no store was named (--storage); a stage that stored it did so under")
        label = ""
    for each in found.objects:
        size = "" if each.size_bytes is None else f"  ({plural(each.size_bytes, 'byte')})"
        yield _labelled(label, f"{clean(each.key)}{size}")
        label = ""
        if each.problem is not None:
            yield Text(f"  {'':<{_LABEL}}{clean(each.problem)}", style="red")


def _labelled(label: str, text: str) -> Text:
    return Text(f"  {label:<{_LABEL}}{text}")


def _document(found: Explanation) -> dict[str, Any]:
    """Return the JSON form. Keys are only ever added."""
    return {
        "message_id": found.message_id.hex(),
        "passages": [
            {
                **way_document(way),
                "outcome": row_document(way.outcome) if way.outcome else None,
                "visits": [
                    {**row_document(row), "error": error_of(row) or None, "reason": reason_of(row) or None}
                    for row in way.visits
                ],
            }
            for way in found.ways
        ],
        "ancestors": [way_document(way) for way in found.ancestors],
        "children": [way_document(way) for way in found.children],
        "more_children": found.more_children,
        "storage_asked": found.storage is not None,
        "objects": [each._asdict() for each in found.objects],
        "objects_unread": found.unread,
    }
