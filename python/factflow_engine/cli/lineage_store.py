"""The lineage store of a command: the options that name it, work on its reader, ids by their beginnings.

Kept separate from the commands so that all of them find the store alike, and report the same errors.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import click
import trio

from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.home import home_of, home_option, is_there
from factflow_engine.cli.interrupts import python_interrupts
from factflow_engine.cli.selection import time_of
from factflow_engine.cli.text import clean
from factflow_engine.errors import LineageProviderError
from factflow_engine.lineage.providers import open_lineage
from factflow_engine.schemes import InFolder
from factflow_engine.seams import SystemClock
from factflow_protocols import (
    LineageEntry,
    LineageError,
    LineageReader,
    LineageSelection,
    LineageUrlError,
    OutcomeEntry,
    ReadableLineage,
    StageStatus,
)

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_SHORTEST_ID: Final = 4
_MOST_CANDIDATES: Final = 3
_MOST_PROBLEMS: Final = 5
_REASONS: Final = {"unrouted": "no outbound took it", "emitted_none": "its last stage emitted no message"}


def store_options(command: F) -> F:
    """Add `--home` and `--lineage`, as `home` and `url`."""
    return home_option(
        click.option(
            "--lineage",
            "url",
            metavar="URL",
            help="The lineage store, such as sqlite:///FOLDER; by default that of the home.",
        )(command)
    )


def selection_options(command: F) -> F:
    """Add `--execution`, `--route`, `--since` and `--until`; the command gets `selection`."""

    @wraps(command)
    def with_selection(
        *arguments: Any,
        execution_id: str | None,
        route: str | None,
        since_ns: int | None,
        until_ns: int | None,
        stage: str | None = None,
        statuses: Sequence[str] = (),
        **options: Any,
    ) -> object:
        selection = LineageSelection(
            execution_id=execution_id,
            route=route,
            stage=stage,
            statuses=frozenset(statuses),
            since_ns=since_ns,
            until_ns=until_ns,
        )
        return command(*arguments, selection=selection, **options)

    with_options: Callable[..., object] = with_selection
    for option in (
        _time_option("--until", "Only rows from before that; as --since."),
        _time_option("--since", "Only rows since then: 90s, 30m, 2h, 7d, or an ISO 8601 time, UTC without an offset."),
        click.option("--route", metavar="ID", help="Only rows of this route."),
        click.option("--execution", "execution_id", metavar="ID", help="Only rows of this execution."),
    ):
        with_options = option(with_options)
    return cast("F", with_options)


def visit_selection_options(command: F) -> F:
    """Add the same options, `--stage` and `--status`; the command gets `selection`."""
    for option in (
        click.option(
            "--status",
            "statuses",
            type=click.Choice([str(status) for status in StageStatus]),
            multiple=True,
            help="Only visits in this state; may be repeated.",
        ),
        click.option("--stage", metavar="NAME", help="Only visits to this stage."),
    ):
        command = option(command)
    return selection_options(command)


def _time_option(name: str, text: str) -> Callable[[F], F]:
    return click.option(
        name,
        f"{name.removeprefix('--')}_ns",
        metavar="TIME",
        callback=lambda _ctx, _parameter, given: None if given is None else time_of(given, SystemClock().wall_ns()),
        help=text,
    )


def with_lineage(home: Path | None, url: str | None, work: Callable[[LineageReader], Awaitable[T]]) -> T:
    """Run some work with a reader of the store that the options name; what of it cannot be read is said on standard error.

    Raises:
        InvalidInputError: There is no such store, or the work found the input wrong.
    """

    async def run() -> T:
        sink = open_lineage(lineage_url(home) if url is None else url)
        if not isinstance(sink, ReadableLineage):
            raise LineageUrlError(url or "", f"its provider {type(sink).__name__} only writes")
        if isinstance(sink, InFolder) and not sink.folder.exists():
            raise InvalidInputError(
                f"there is no lineage in {str(sink.folder)!r}; run a pipeline with 'lineage: {{mode: full}}', or "
                "name a store with --lineage sqlite:///FOLDER"
            )
        reader = sink.reader()
        try:
            try:
                result = await work(reader)
            except (
                InvalidInputError,
                LineageError,
            ):  # such as an id that nothing has but a segment that cannot be read
                _say(await reader.problems())
                raise
            _say(await reader.problems())
        finally:
            with trio.CancelScope(shield=True):
                await reader.close()
        return result

    try:
        with python_interrupts():
            return trio.run(run)
    except (LineageError, LineageProviderError) as error:
        raise InvalidInputError(str(error)) from error


def _say(problems: Sequence[str]) -> None:
    for problem in problems[:_MOST_PROBLEMS]:
        click.echo(f"factflow: {clean(problem)}", err=True)
    if len(problems) > _MOST_PROBLEMS:
        click.echo(f"factflow: and {len(problems) - _MOST_PROBLEMS:,} more segments cannot be read", err=True)


def lineage_url(home: Path | None) -> str:
    """Return the URL of a home's lineage.

    Raises:
        InvalidInputError: The directory is no home.
    """
    found = home_of(home)
    is_there(found)
    return found.lineage_url


async def message_of(reader: LineageReader, text: str) -> bytes:
    """Return the id that begins with `text`.

    Raises:
        InvalidInputError: `text` is no id, or matches no message, or several.
    """
    if not _SHORTEST_ID <= len(text) <= 32 or not set(text.lower()) <= set("0123456789abcdef"):
        raise InvalidInputError(
            f"{text!r} is no message id: expected {_SHORTEST_ID} to 32 hexadecimal digits, as `factflow lineage list` shows"
        )
    found = await reader.find(text, limit=_MOST_CANDIDATES + 1)
    if not found:
        raise InvalidInputError(
            f"no message {text} is recorded; `factflow lineage list` shows those that are (a pipeline with "
            "'lineage: {mode: sampled}' records some, retention removes old ones)"
        )
    if len(found) > 1:
        shown = ", ".join(each.hex() for each in found[:_MOST_CANDIDATES])
        more = ", ..." if len(found) > _MOST_CANDIDATES else ""
        raise InvalidInputError(f"several messages begin with {text}: {shown}{more}; write more digits")
    return found[0]


def row_document(row: LineageEntry | OutcomeEntry) -> dict[str, object]:
    """Return a row as JSON: ids in hexadecimal, the detail as what it holds."""
    document: dict[str, object] = {
        name: value.hex() if isinstance(value, bytes) else value for name, value in row._asdict().items()
    }
    document["detail"] = detail_of(row)
    return document


def detail_of(row: LineageEntry | OutcomeEntry) -> object:
    """Return the detail of a row, decoded; a text that is no JSON as it is."""
    if row.detail is None:
        return None
    try:
        return json.loads(row.detail)
    except (ValueError, RecursionError):
        return row.detail


def error_of(row: LineageEntry | OutcomeEntry) -> str:
    """Return type, text and place of a failure; empty if the row has none."""
    detail = detail_of(row)
    if not isinstance(detail, dict) or "error" not in detail:
        return ""
    parts = [str(detail[name]) for name in ("type", "error") if detail.get(name)]
    place = f" ({detail['place']})" if detail.get("place") else ""
    return ": ".join(parts) + place


def reason_of(row: LineageEntry | OutcomeEntry) -> str:
    """Return why a stage was skipped, or what became of a message; empty if nothing is said."""
    detail = detail_of(row)
    if not isinstance(detail, dict):
        return ""
    if "field" in detail:
        was = f": it was {_shown(detail['actual'])}" if "actual" in detail else ""
        was = ": there is no such field" if detail.get("missing") else was
        value = f" {_shown(detail['value'])}" if "value" in detail else ""
        held = "held, and must not" if detail.get("negated") else "did not hold"
        return f"{detail['field']} {detail.get('operator', '')}{value} {held}{was}"
    if "outbounds" in detail and isinstance(detail["outbounds"], Sequence):
        return "to " + ", ".join(map(str, detail["outbounds"]))
    reason = str(detail.get("reason", ""))
    return _REASONS.get(reason, reason)


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
