"""Place in the user's code at which an error was raised, for reports and dead letters: `parse_line.py:4`.

Kept separate from `crossing` because errors of every stage have one.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from factflow_engine.error_texts import members
from factflow_engine.user_frames import user_frames
from factflow_protocols import FactflowError

MOST_ERRORS: Final = 20
"""Number of errors that are looked at: the error, those in a group, and the causes."""

MOST_CHARACTERS: Final = 200
"""Most characters of a place; the rest of the name of its file is cut at the beginning."""

_SLOTS: Final = vars(BaseException)
"""Attributes of errors; read from here, because a class may override them with anything."""


class WorkerTraceback(FactflowError):  # noqa: N818 - stands where the traceback of an error's cause does
    """Traceback of an error in the worker process; it becomes the cause of the error that is raised here.

    Attributes:
        place: Place of that error; empty if it has none.
    """

    def __init__(self, trace: str, place: str) -> None:
        self.place = place
        super().__init__(trace)

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def place_of(error: BaseException) -> str:
    """Return file and line of the innermost frame that is the user's; empty if there is none.

    Frames of the engine, trio and the standard library do not count, and those of installed packages only if the user has
    none. An error without a frame of the user's, such as one that the engine raises for a condition operator's, has the
    place of its cause; a group has the place of its first error.
    """
    installed = ""
    for each in _related(error):
        own, other = (each.place, "") if type(each) is WorkerTraceback else _places(each)
        if own:
            return _sayable(own)
        installed = installed or other
    return _sayable(installed)


def _related(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors that may have the place, the best first: those in a group, the error itself, its causes."""
    nested = [error]
    while (inside := members(nested[-1])) and len(nested) < MOST_ERRORS:
        nested.append(inside[0])
    yield from reversed(nested)
    cause = error
    for _ in range(MOST_ERRORS):
        before = _slot(cause, "__cause__")
        if before is None and not _slot(cause, "__suppress_context__"):
            before = _slot(cause, "__context__")
        if before is None:
            return
        cause = before
        yield cause


def _places(error: BaseException) -> tuple[str, str]:
    """Return the places of the innermost frames in the user's own code and in installed packages."""
    own = installed = ""
    for frame in user_frames(error):
        place = f"{Path(frame.file).name}:{frame.line}"
        if frame.is_installed:
            installed = place
        else:
            own = place
    return own, installed


def _sayable(place: str) -> str:
    """Return the place so that a message can carry it: the name of a file may be long, or no text."""
    return place[-MOST_CHARACTERS:].encode(errors="backslashreplace").decode()


def _slot(error: BaseException, name: str) -> Any:
    return _SLOTS[name].__get__(error)
