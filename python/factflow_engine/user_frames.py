"""Frames of a traceback that are the user's: neither the engine's, nor trio's, nor the standard library's.

Kept separate from what reports errors because both the import of adapters and a failed message name such a frame. It
runs in worker processes, too, and so finds trio without importing it.
"""

import os
import sysconfig
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import factflow_protocols

_TRIO: Final = Path(str(getattr(find_spec("trio"), "origin", ""))).parent
_NOBODYS: Final = (
    *(
        f"{folder}{os.sep}"
        for folder in (
            Path(__file__).parent,
            Path(str(factflow_protocols.__file__)).parent,
            _TRIO,
            _TRIO.parent / "outcome",  # trio's own dependency, installed beside it: it raises what a task waited for
        )
    ),
    "<",
)
_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_STANDARD_LIBRARY: Final = tuple(sysconfig.get_paths()[name] + os.sep for name in ("stdlib", "platstdlib"))

_TRACEBACK: Final[Any] = vars(BaseException)["__traceback__"]
"""Read from here, because a class may override the attribute with anything."""

MOST_FRAMES: Final = 10_000
"""Number of frames that are looked at; endless recursion raises after about a thousand."""


@dataclass(frozen=True, slots=True)
class UserFrame:
    """Line of the user's code, or of an installed package's.

    Attributes:
        file: Path of the file, as Python knows it.
        line: Number of the line, from 1.
        is_installed: True if the file belongs to an installed package.
    """

    file: str
    line: int
    is_installed: bool


def user_frames(error: BaseException) -> list[UserFrame]:
    """Return the frames of an error that are the user's or an installed package's, outermost first.

    An error that crossed from a worker process has none.
    """
    found: list[UserFrame] = []
    traceback: TracebackType | None = _TRACEBACK.__get__(error)
    for _ in range(MOST_FRAMES):
        if traceback is None:
            break
        file = traceback.tb_frame.f_code.co_filename
        if not file.startswith(_NOBODYS):
            installed = any(part in file for part in _INSTALLED)
            if installed or not file.startswith(_STANDARD_LIBRARY):
                found.append(UserFrame(file, traceback.tb_lineno, installed))
        traceback = traceback.tb_next
    return found


def innermost(frames: list[UserFrame]) -> UserFrame | None:
    """Return the innermost frame that is the user's own; that of an installed package only if the user has none."""
    candidates = [frame for frame in frames if not frame.is_installed] or frames
    return candidates[-1] if candidates else None
