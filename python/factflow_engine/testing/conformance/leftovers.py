"""Open files and running tasks, counted before and after something that must leave none.

Kept separate from the checks of adapters because those of stateful ones count, too.
"""

import os

import trio
import trio.testing

from factflow_engine.testing.conformance.expectations import ConformanceError


def open_files() -> int | None:
    """Return the number of open file descriptors of this process; None where the system does not tell."""
    try:
        return len(os.listdir("/dev/fd"))  # noqa: PTH208 - a count is all that is wanted
    except OSError:
        return None


def require_files(before: int | None, when: str) -> None:
    """Compare the number of open files.

    Raises:
        ConformanceError: More are open than before.
    """
    now = open_files()
    if before is not None and now is not None and now > before:
        raise ConformanceError(f"after {when}: expected no more open files than before, got {now - before} more")


async def tasks() -> int:
    """Return the number of tasks when every one of them waits."""
    await trio.testing.wait_all_tasks_blocked()
    return trio.lowlevel.current_statistics().tasks_living


async def require_tasks(before: int, when: str) -> None:
    """Compare the number of tasks.

    Raises:
        ConformanceError: More are running than before.
    """
    now = await tasks()
    if now > before:
        raise ConformanceError(f"after {when}: expected no task to be left, got {now - before}")
