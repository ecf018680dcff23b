"""Plugin for pytest: the testing kit's fakes as fixtures, and the line that reproduces a failed simulation.

pytest loads it through the entry point `factflow` of the group `pytest11`; `-p no:factflow` leaves it out. Kept separate
from `factflow_engine.testing`, because every run of pytest imports this module, and few use the kit: its fixtures import
that late. Nothing else imports this module, so that the package does not depend on pytest.
"""

import sys
from collections.abc import Generator
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from factflow_engine import testing

_NOTES: Final = "factflow_engine.testing.simulation.reproducers"
_TITLE: Final = "factflow: to reproduce"
_MOST_LINES: Final = 5


def _kit() -> ModuleType:
    from factflow_engine import testing  # noqa: PLC0415 - half a second, for tests that use it alone

    return testing


@pytest.fixture
def validating_registry() -> Any:
    """Function that makes a registry of adapter classes and functions; see `factflow_engine.testing`."""
    return _kit().validating_registry


@pytest.fixture
def run_adapter() -> Any:
    """Function that gives one message to an adapter, without an engine; see `factflow_engine.testing`."""
    return _kit().run_adapter


@pytest.fixture
def assert_outcomes() -> Any:
    """Function that checks the outcomes of an execution; see `factflow_engine.testing`."""
    return _kit().assert_outcomes


@pytest.fixture
def simulate() -> Any:
    """Function that runs a pipeline in virtual time; see `factflow_engine.testing`."""
    return _kit().simulate


@pytest.fixture
def recording_queue() -> "testing.RecordingQueue":
    """Queue in memory that notes what passes through it, a new one for each test."""
    queue: testing.RecordingQueue = _kit().RecordingQueue()
    return queue


@pytest.fixture
def recording_storage() -> "testing.RecordingStorage":
    """Object store in memory that notes what is done with it, a new one for each test."""
    storage: testing.RecordingStorage = _kit().RecordingStorage()
    return storage


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Forget what the tests before have noted."""
    if _NOTES in sys.modules:
        sys.modules[_NOTES].forget()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(call: "pytest.CallInfo[None]") -> Generator[None, Any, None]:
    """Add the lines that reproduce the failure to the report of a failed test, under xdist, too."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()
    if not report.failed:
        return
    lines = _lines_of(call.excinfo.value) if call.excinfo is not None else []
    if not lines and _NOTES in sys.modules:
        lines = sys.modules[_NOTES].noted()
    if lines:
        omitted = len(lines) - _MOST_LINES
        more = [f"and {omitted} before"] if omitted > 0 else []
        report.sections.append((_TITLE, "\n".join([*lines[-_MOST_LINES:], *more])))


def _lines_of(error: BaseException) -> list[str]:
    """Return the lines that an error bears, its causes, its contexts, and the errors of its groups."""
    found: dict[str, None] = {}
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        line = getattr(each, "reproducer", None)
        if isinstance(line, str) and line:
            found[line] = None
        waiting += [other for other in (each.__cause__, each.__context__) if other is not None]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
    return list(found)
