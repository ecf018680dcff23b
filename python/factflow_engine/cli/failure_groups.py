"""Failures counted by stage, error and place, each group with one of them.

Kept separate from the report because dead letters are counted and shown in the same way.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from rich.text import Text

from factflow_engine.cli.text import clean
from factflow_engine.queues.dead_letters import DeadLetter
from factflow_engine.runtime.report import FailureRecord

MOST_GROUPS: Final = 1_000
"""Number of groups that are told apart: failures without a place may have any number of texts."""

MOST_SHOWN: Final = 20
"""Number of groups that are shown to people."""

ERROR_LIMIT: Final = 500
PREVIEW_LIMIT: Final = 200

T = TypeVar("T")
FailureKey: TypeAlias = tuple[str, str, str, str]


_EXAMINED: Final = 300
"""Characters of an error's text that are compared."""

_VARIABLE: Final = re.compile(
    r"""'[^']*'|"[^"]*"|[A-Za-z][\w+.-]{0,20}://\S+|(?<!\S)/\S+|(?<![\w-])(?!(?:4[0-3]|5[01])\d(?!\w))[\w-]*\d[\w-]*"""
)
"""Parts of a text that differ from message to message: quotations, URLs, paths, and words with digits, except
the status of a failed response."""


def failure_key(failure: FailureRecord | DeadLetter) -> FailureKey:
    """Return the value that failures of one group have in common.

    That is the place, or, for failures without one, the text of the error but for what differs from message to message.
    """
    return (
        failure.route,
        failure.stage or "",
        failure.error_type,
        failure.place or _VARIABLE.sub("", failure.error[:_EXAMINED]),
    )


@dataclass(slots=True)
class FailureGroup(Generic[T]):
    """Failures of one kind.

    Attributes:
        sample: The failure that was added first.
        count: Number of failures.
    """

    sample: T
    count: int


class FailureGroups(Generic[T]):
    """Number of failures by kind.

    Attributes:
        ungrouped: Number of failures of further kinds than `MOST_GROUPS`.
    """

    def __init__(self) -> None:
        self.ungrouped = 0
        self._groups: dict[FailureKey, FailureGroup[T]] = {}

    def add(self, key: FailureKey, failure: T) -> None:
        """Count a failure."""
        group = self._groups.get(key)
        if group is not None:
            group.count += 1
        elif len(self._groups) < MOST_GROUPS:
            self._groups[key] = FailureGroup(failure, 1)
        else:
            self.ungrouped += 1

    def largest(self, most: int = MOST_GROUPS) -> list[FailureGroup[T]]:
        """Return the largest groups; of equal ones, those that began first."""
        return sorted(self._groups.values(), key=lambda group: -group.count)[:most]


def group_lines(groups: Iterable[FailureGroup[FailureRecord]], *, sample: str) -> Iterator[Text]:
    """Yield lines for people on each group: its number, stage, error and place, and the sample.

    Args:
        groups: The groups.
        sample: Adjective for the sample of several failures: `first`.
    """
    for group in groups:
        failure = group.sample
        count = f"{group.count:,} x " if group.count > 1 else ""
        yield Text.assemble(
            f"  {clean(stage_of(failure))}  {count}",
            (clean(f"{failure.error_type}: {failure.error}", limit=ERROR_LIMIT), "red"),
            f" ({clean(failure.place)})" if failure.place else "",
        )
        attempts = f" after {failure.attempts} attempts" if failure.attempts > 1 else ""
        yield Text(
            f"    {f'{sample} ' if group.count > 1 else ''}message {clean(failure.message_id)}{attempts}: "
            f"{clean(failure.payload_preview, limit=PREVIEW_LIMIT)}",
            style="dim",
        )


def stage_of(failure: FailureRecord) -> str:
    """Return the stage of a failure with its route."""
    return f"{failure.route}/{failure.stage}" if failure.stage else failure.route
