"""Assertions for production code, which a simulation judges: `always`, `sometimes`, `eventually`, `leads_to`.

Kept separate from the testing kit because adapters call them where they run, and depend on this package alone. A
simulation installs an observer for the time of a run (`observed`). Without one, which is production, each call costs
less than 100 nanoseconds, evaluates no condition of `eventually`, keeps nothing, and raises nothing; only a false
`always` is logged, once for each name, and counted (`broken_always`).

Names are constants that say what is asserted: one name is one assertion, wherever it is called.
"""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, Protocol

logger = logging.getLogger("factflow_protocols")

MOST_NAMES: Final = 1000
"""Most names of broken assertions that a process keeps. A name made from a message must not fill its memory."""

_broken: Final[dict[str, int]] = {}


class AssertionObserver(Protocol):
    """Receiver of what a simulated run's code asserts; see the functions of this module, which pass their arguments on."""

    def always(self, is_true: bool, name: str, details: object, /) -> None:  # noqa: FBT001 - a condition
        """Judge a call of `always`."""

    def sometimes(self, is_true: bool, name: str, /) -> None:  # noqa: FBT001 - a condition
        """Judge a call of `sometimes`."""

    def declare_sometimes(self, name: str, /) -> None:
        """Take note of a name that must be reached."""

    def eventually(self, condition: Callable[[], Any], name: str, within: float | None, /) -> None:
        """Begin to watch a condition."""

    def leads_to(self, cause: str, effect: str, within: float | None, /) -> None:
        """Begin to watch two events."""

    def reached(self, name: str, key: object, /) -> None:
        """Take note of an event."""


_observer: Final[ContextVar[AssertionObserver | None]] = ContextVar("factflow_assertions", default=None)
_current: Final = _observer.get


@contextmanager
def observed(observer: AssertionObserver | None) -> Iterator[None]:
    """Hand the assertions of this context, and of tasks and threads that begin in it, to an observer.

    Nested, the inner observer alone is told; None makes the inner context a production one. The observer from before is
    back at the end, however the block ends. Enter it around `trio.run`, or in the task that starts the execution: tasks
    that exist already keep theirs, so that two runs in one process do not mix.
    """
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def is_observed() -> bool:
    """Return True if an observer judges the assertions of this context."""
    return _current() is not None


def always(condition: object, name: str, details: object = None) -> None:
    """Assert that a condition is true at every call.

    In a simulation a false one fails the run, which goes on to its end. In production it is logged at level ERROR, with
    the place of the call, at the first time for each name, and the message goes on: raise an exception where it must
    not.

    Args:
        condition: Any value with a truth; one whose truth raises is raised to the caller.
        name: The assertion, such as `"a total is never negative"`.
        details: Any value, shown by a simulation beside the name. It is never logged: it may hold secrets.

    Example:
        always(2 > 1, "two is more than one")
    """
    observer = _current()
    if observer is not None:
        observer.always(bool(condition), name, details)
    elif not condition:
        _note_broken(name)


def sometimes(condition: object, name: str) -> None:
    """Assert that a condition is true at one call at least, in one run at least of a campaign of simulations.

    With it a test proves that it has seen what it is about: a retry, an empty page, a message that came twice. Does
    nothing in production. A line that no run reaches is unknown to the campaign: `declare_sometimes` makes it known.

    Example:
        sometimes(len("") == 0, "a page is empty")
    """
    observer = _current()
    if observer is not None:
        observer.sometimes(bool(condition), name)


def declare_sometimes(*names: str) -> None:
    """Make names of `sometimes` known before their lines are reached; a campaign fails if a known name never holds.

    Call it inside a run, as in an adapter's `__init__`: at the import of a module no simulation listens. Does nothing in
    production.
    """
    observer = _current()
    if observer is not None:
        for name in names:
            observer.declare_sometimes(name)


def eventually(condition: Callable[[], Any], name: str, *, within: float | None = None) -> None:
    """Assert that from now on a condition becomes true once, in time.

    In a simulation it is evaluated at once, and whenever all tasks wait, until it is true. A run fails if it is false
    until the deadline, or the end of the run. Does nothing in production: the condition is not evaluated there, so it
    must have no effect.

    Args:
        condition: Called without arguments, from outside the calling task, maybe after its end.
        name: The assertion.
        within: Seconds of virtual time from now; None: by the end of the run.

    Example:
        seen = []
        eventually(lambda: "last" in seen, "the last page is read", within=60)
    """
    observer = _current()
    if observer is not None:
        observer.eventually(condition, name, within)


def leads_to(cause: str, effect: str, *, within: float | None = None) -> None:
    """Assert that each event of one name is followed by an event of another name with the same key, in time.

    Events are told with `reached`; one effect answers all causes of its key before it. Declare it before the first
    cause, as in an adapter's `__init__`: declared again, with the same `within`, it changes nothing. Does nothing in
    production.

    Args:
        cause: Name of the first event.
        effect: Name of the second.
        within: Seconds of virtual time from each cause; None: by the end of the run.

    Example:
        leads_to("order taken", "order shipped", within=3600)
        reached("order taken", 7)
        reached("order shipped", 7)
    """
    observer = _current()
    if observer is not None:
        observer.leads_to(cause, effect, within)


def reached(name: str, key: object = None) -> None:
    """Tell that an event has happened; see `leads_to`. Does nothing in production.

    Args:
        name: The event.
        key: The thing that it happened to, such as an order's number: any hashable value.
    """
    observer = _current()
    if observer is not None:
        observer.reached(name, key)


def broken_always() -> dict[str, int]:
    """Return how often each `always` was false in this process outside of simulations, by name.

    At most `MOST_NAMES` names are kept, the first ones. With several threads a count may be a little low.
    """
    return dict(_broken)


def _note_broken(name: str) -> None:
    """Count, and log the first time of a name with the place of its call."""
    count = _broken.get(name, 0)
    if not count and len(_broken) >= MOST_NAMES:
        return
    _broken[name] = count + 1
    if not count:
        frame = sys._getframe(2)
        logger.error(
            "assertion %r does not hold, at %s:%d; the message goes on, and this name is not logged again",
            name, frame.f_code.co_filename, frame.f_lineno,
        )  # fmt: skip
