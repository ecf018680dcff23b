"""Selection of dead letters by error, payload and time, and the options that say it.

Kept separate from the commands because they select alike, and from `dead_letters`, which reads what is selected from.
"""

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.conditions import Condition, compile_condition
from factflow_engine.config.condition_errors import report_condition
from factflow_engine.config.nodes import MappingNode, plain_value
from factflow_engine.config.report import Report
from factflow_engine.config.text import TextProblem, check_text
from factflow_engine.config.yaml import parse
from factflow_engine.errors import ConditionErrors
from factflow_engine.queues.dead_letters import DeadLetter
from factflow_engine.seams import SystemClock

F = TypeVar("F", bound=Callable[..., Any])

MOST_CONDITION_BYTES: Final = 1 << 20

_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_EXAMPLE: Final = "'{field: url, operator: contains, value: example.org}'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Rule that selects dead letters.

    Attributes:
        error_types: Classes of errors; empty for all.
        condition: Condition on the payload; None for all.
        since_ns: Time from which on they were given up, in nanoseconds since the Unix epoch; None for any.
        limit: Most of them, the newest; None for no limit.
    """

    error_types: frozenset[str] = frozenset()
    condition: Condition | None = None
    since_ns: int | None = None
    limit: int | None = None

    @property
    def takes_all(self) -> bool:
        """True if the rule excludes nothing, but for the limit."""
        return not self.error_types and self.condition is None and self.since_ns is None

    def takes(self, letter: DeadLetter) -> bool:
        """True if the rule selects a letter, whatever the limit. Its payload is examined if there is a condition."""
        return (
            (not self.error_types or letter.error_type in self.error_types)
            and (self.since_ns is None or letter.time_ns >= self.since_ns)
            and (self.condition is None or self.condition.matches(letter.frame.payload))
        )


def selection_options(command: F) -> F:
    """Add `--error-type`, `--where` and `--since`."""
    for option in (
        click.option(
            "--since",
            metavar="TIME",
            callback=lambda _ctx, _parameter, text: None if text is None else time_of(text, SystemClock().wall_ns()),
            help="Only those given up since then: 90s, 30m, 2h, 7d, or an ISO 8601 time, which is UTC without an offset.",
        ),
        click.option(
            "--where",
            "condition",
            metavar="CONDITION",
            callback=lambda _ctx, _parameter, text: None if text is None else condition_of(text),
            help=f"Only those whose payload meets a condition, as in a pipeline: {_EXAMPLE}.",
        ),
        click.option(
            "--error-type",
            "error_types",
            metavar="CLASS",
            multiple=True,
            help="Only those with this class of error, as `factflow dlq list` shows it; may be repeated.",
        ),
    ):
        command = option(command)
    return command


def condition_of(text: str) -> Condition:
    """Compile the condition of `--where`.

    Raises:
        InvalidInputError: It is no condition; the error has every problem, each with its place and remedy.
    """
    report = Report("--where")
    try:
        node = parse(check_text(text, MOST_CONDITION_BYTES), report)
    except TextProblem as problem:
        report.add(problem.code, problem.mark, problem.message, remedy=problem.remedy)
    else:
        if isinstance(node, MappingNode):
            try:
                return compile_condition(plain_value(node))
            except ConditionErrors as errors:
                for found in errors.findings:
                    report_condition(found, node, (), report)
    said = "\n".join(map(str, report.findings())) if text.strip() else ""
    raise InvalidInputError(said or f"--where {text!r} is no condition; write one as in a pipeline, such as {_EXAMPLE}")


def time_of(text: str, now_ns: int) -> int:
    """Return the time of `--since` in nanoseconds since the Unix epoch.

    Args:
        text: A duration before now, or a time.
        now_ns: The present time.

    Raises:
        InvalidInputError: It is neither, or is in the future.
    """
    found = _DURATION.fullmatch(text)
    if found is not None:
        return max(0, now_ns - round(float(found[1]) * _SECONDS[found[2]] * 1e9))
    try:
        time = dt.datetime.fromisoformat(text)
        since_ns = round((time if time.tzinfo else time.replace(tzinfo=dt.UTC)).timestamp() * 1_000_000) * 1_000
    except (ValueError, OverflowError):
        raise InvalidInputError(
            f"--since {text!r} is no time; write a duration (90s, 30m, 2h, 7d) or a time (2026-11-29, 2026-11-29T16:30:00Z)"
        ) from None
    if since_ns > now_ns:
        raise InvalidInputError(f"--since {text!r} is in the future; a time without an offset is UTC")
    return since_ns
