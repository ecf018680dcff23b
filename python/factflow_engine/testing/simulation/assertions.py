"""Judgement of a simulated run's assertions, and of a campaign's: which did not hold, and how often each was called.

`factflow_protocols.assertions` has the calls; `Assertions` observes those of one run, and `CampaignTotals` adds runs up.
Kept separate from the run, because it needs nothing of it but a clock.
"""

import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import trio

from factflow_engine.error_texts import bounded, describe
from factflow_engine.testing.simulation.assertion_counts import (
    AssertionCount,
    AssertionKind,
    AssertionUseError,
    CampaignTotals,
    Violation,
)
from factflow_protocols.assertions import observed

__all__ = [
    "AssertionCount",
    "AssertionKind",
    "AssertionUseError",
    "Assertions",
    "CampaignTotals",
    "RoundPolling",
    "Violation",
    "observed",
]

_CALLS: Final = "factflow_protocols.assertions"
_SHOWN_CHARACTERS: Final = 200
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")
"""Part of a `repr` that differs from run to run of one seed."""


@dataclass(slots=True)
class _Use:
    """Use of one assertion so far, and the first time that it did not hold."""

    label: str
    calls: int = 0
    held: int = 0
    broken: int = 0
    text: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class _Expected:
    """A condition that must become true, or an effect that must follow its cause."""

    use: _Use
    since: float
    deadline: float
    place: str
    condition: Callable[[], Any] | None = None
    shown_key: str = ""


class Assertions:
    """The assertions of one run; install it with `observed(assertions)` for the time of the run.

    Conditions of `eventually` are evaluated by `poll`, which must be called whenever time is about to pass:
    `RoundPolling` does so. If it is never called, they are evaluated by `finish` alone.

    Args:
        now: Returns the seconds of virtual time since the beginning of the run; called where the assertions are, also
            in worker threads if the run has any.

    Example:
        assertions = Assertions(now=lambda: 1.5)
        with observed(assertions):
            always(2 > 3, "two is more than three")
        [violation] = assertions.finish()
        assert (violation.name, violation.seconds) == ("two is more than three", 1.5)
    """

    def __init__(self, *, now: Callable[[], float]) -> None:
        self._now = now
        self._uses: dict[tuple[AssertionKind, str], _Use] = {}
        self._conditions: list[_Expected] = []
        self._effects: dict[str, dict[str, float | None]] = {}  # by cause: effects, with the seconds that they have
        self._causes: dict[str, dict[str, None]] = {}  # by effect: its causes, in order
        self._open: dict[tuple[str, str], dict[object, list[_Expected]]] = {}  # by cause and effect, then by key
        self._is_polled = False

    # The observer's side: called through `factflow_protocols.assertions`.

    def always(self, is_true: bool, name: str, details: object, /) -> None:  # noqa: FBT001 - a condition
        """See `AssertionObserver`."""
        use = self._use("always", name)
        use.calls += 1
        if is_true:
            use.held += 1
            return
        shown = "" if details is None else f", with {_shown(details)}"
        self._broken(use, f"{use.label} was false at {_place()}{shown}", self._now())

    def sometimes(self, is_true: bool, name: str, /) -> None:  # noqa: FBT001 - a condition
        """See `AssertionObserver`."""
        use = self._use("sometimes", name)
        use.calls += 1
        use.held += is_true

    def declare_sometimes(self, name: str, /) -> None:
        """See `AssertionObserver`."""
        self._use("sometimes", name)

    def eventually(self, condition: Callable[[], Any], name: str, within: float | None, /) -> None:
        """See `AssertionObserver`.

        Raises:
            AssertionUseError: The condition cannot be called, or `within` is no number of seconds.
        """
        if not callable(condition):
            raise AssertionUseError(
                f"eventually {name!r}: expected a function that returns the condition, got {_shown(condition)}; "
                f"write eventually(lambda: ..., {name!r})"
            )
        _check_within(f"eventually {name!r}", within)
        use, now = self._use("eventually", name), self._now()
        use.calls += 1
        expected = _Expected(use, now, now + (math.inf if within is None else within), _place(), condition)
        if not self._is_settled(expected):
            self._conditions.append(expected)

    def leads_to(self, cause: str, effect: str, within: float | None, /) -> None:
        """See `AssertionObserver`.

        Raises:
            AssertionUseError: `within` is no number of seconds, or another one than before.
        """
        name = f"{cause} -> {effect}"
        _check_within(f"leads_to {name!r}", within)
        effects = self._effects.setdefault(cause, {})
        if effect in effects and effects[effect] != within:
            raise AssertionUseError(
                f"leads_to {name!r}: expected within={effects[effect]} as it was declared before, got {within}; "
                "give a second assertion another name"
            )
        effects[effect] = within
        self._causes.setdefault(effect, {})[cause] = None
        self._open.setdefault((cause, effect), {})
        self._use("leads_to", name)

    def reached(self, name: str, key: object, /) -> None:
        """See `AssertionObserver`.

        Raises:
            AssertionUseError: The key has no hash.
        """
        try:
            hash(key)
        except TypeError:
            raise AssertionUseError(
                f"reached {name!r}: expected a key that has a hash, such as a number or a text, got {_shown(key)}"
            ) from None
        now = self._now()
        for cause in self._causes.get(name, ()):
            for expected in self._open[cause, name].pop(key, ()):
                if now > expected.deadline:
                    self._late(expected)
                else:
                    expected.use.held += 1
        effects = self._effects.get(name)
        if not effects:
            return
        place, shown = _place(), _shown(key)
        for effect, within in effects.items():
            use = self._use("leads_to", f"{name} -> {effect}")
            use.calls += 1
            deadline = now + (math.inf if within is None else within)
            waiting = self._open[name, effect].setdefault(key, [])
            waiting.append(_Expected(use, now, deadline, place, shown_key=shown))

    # The simulation's side.

    def poll(self) -> None:
        """Evaluate the conditions that have not been true yet. Call it when all tasks wait, before time passes."""
        self._is_polled = True
        if not self._conditions:
            return
        # Conditions may assert in their turn: they find the list as it is for others.
        pending, self._conditions = self._conditions, []
        now = self._now()
        left = []
        for expected in pending:
            if now > expected.deadline:  # was false when its time ended, and the state is that of a later time
                self._late(expected)
            elif not self._is_settled(expected):
                left.append(expected)
        self._conditions = left + self._conditions

    def finish(self, *, is_complete: bool = True) -> list[Violation]:
        """Return the assertions that did not hold, each once, in the order of their first time.

        Args:
            is_complete: False for a run that was cut off, or whose faults never stopped: what still had time is not
                judged then.
        """
        now = self._now()
        effects = [one for by_key in self._open.values() for waiting in by_key.values() for one in waiting]
        for expected in [*self._conditions, *effects]:
            is_over = now > expected.deadline
            if expected.condition is not None and not (is_over and self._is_polled) and self._is_settled(expected):
                continue
            if is_over or is_complete:
                self._late(expected, ended=None if is_over else now)
        self._conditions = []
        for by_key in self._open.values():
            by_key.clear()
        found = [
            Violation(kind, name, _with_count(use), use.seconds)
            for (kind, name), use in self._uses.items()
            if use.broken
        ]
        return sorted(found, key=lambda violation: violation.seconds)

    @property
    def counts(self) -> dict[tuple[AssertionKind, str], AssertionCount]:
        """Use of each assertion so far, by kind and name."""
        return {name: AssertionCount(use.calls, use.held) for name, use in self._uses.items()}

    def _use(self, kind: AssertionKind, name: str) -> _Use:
        use = self._uses.get((kind, name))
        if use is None:
            use = self._uses[kind, name] = _Use(f"{kind} {name!r}")
        return use

    def _is_settled(self, expected: _Expected) -> bool:
        """Evaluate a condition. True if it holds, or has raised, which is a violation."""
        assert expected.condition is not None
        try:
            is_true = bool(expected.condition())
        except Exception as error:  # noqa: BLE001 - the run goes on, and its report says so
            text = f"the condition of {expected.use.label} of {expected.place} raised {describe(error)}"
            self._broken(expected.use, text, self._now())
            return True
        expected.use.held += is_true
        return is_true

    def _late(self, expected: _Expected, *, ended: float | None = None) -> None:
        """Take note that something was not true, or did not follow, in time."""
        key = f", for key {expected.shown_key}" if expected.shown_key else ""
        end = f"by {expected.deadline:g} s" if ended is None else f"by the end of the run at {ended:g} s"
        what = "was not true" if expected.condition is not None else "did not hold"
        text = f"{expected.use.label} of {expected.place} at {expected.since:g} s{key} {what} {end}"
        self._broken(expected.use, text, expected.deadline if ended is None else ended)

    @staticmethod
    def _broken(use: _Use, text: str, seconds: float) -> None:
        use.broken += 1
        if use.broken == 1 or seconds < use.seconds:
            use.text, use.seconds = text, seconds


class RoundPolling(trio.abc.Instrument):
    """Instrument that polls assertions whenever all tasks of a trio run wait: `trio.run(..., instruments=[...])`."""

    def __init__(self, assertions: Assertions) -> None:
        self._assertions = assertions

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - trio's signature
        """See `trio.abc.Instrument`."""
        self._assertions.poll()


def _with_count(use: _Use) -> str:
    return f"{use.text} (at {use.seconds:g} s; {use.broken} of {use.calls} times)"


def _check_within(name: str, within: Any) -> None:
    if within is None:
        return
    is_number = isinstance(within, (int, float)) and not isinstance(within, bool)
    if not is_number or not math.isfinite(within) or within < 0:
        raise AssertionUseError(
            f"{name}: expected within= seconds, 0 or more, got {_shown(within)}; leave it out for the end of the run"
        )


def _shown(value: object) -> str:
    try:
        return bounded(_ADDRESS.sub("", repr(value)), _SHOWN_CHARACTERS)
    except Exception as error:  # noqa: BLE001 - a value of the user's
        return f"a {type(value).__name__} whose repr raised {describe(error)}"


def _place() -> str:
    """Return the place that called the assertion, the same on every machine: file name, line and function."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") in {__name__, _CALLS}:
        frame = frame.f_back
    if frame is None:
        return "an unknown place"
    code = frame.f_code
    return f"{Path(code.co_filename).name}:{frame.f_lineno} in {code.co_qualname}"
