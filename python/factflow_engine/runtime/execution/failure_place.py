"""Place in the user's code at which an error was raised, for reports: `parse_line.py:4`."""

import os
import sysconfig
from pathlib import Path
from types import TracebackType
from typing import Final

import trio

import factflow_protocols

_TRIO: Final = Path(str(trio.__file__)).parent
_NOBODYS: Final = (
    *(
        f"{folder}{os.sep}"
        for folder in (
            Path(__file__).parents[2],
            Path(str(factflow_protocols.__file__)).parent,
            _TRIO,
            _TRIO.parent / "outcome",  # trio's own dependency, installed beside it: it raises what a task waited for
        )
    ),
    "<",
)
_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_STANDARD_LIBRARY: Final = tuple(sysconfig.get_paths()[name] + os.sep for name in ("stdlib", "platstdlib"))

MOST_FRAMES: Final = 10_000
"""Number of frames that are looked at; endless recursion raises after about a thousand."""


def place_of(error: BaseException) -> str:
    """Return file and line of the innermost frame that is the user's; empty if there is none.

    Frames of the engine, trio and the standard library do not count, and those of installed packages only if the user has
    none. An error that crossed from a worker process has no frames.
    """
    own = installed = ""
    traceback: TracebackType | None = error.__traceback__
    for _ in range(MOST_FRAMES):
        if traceback is None:
            break
        file = traceback.tb_frame.f_code.co_filename
        if not file.startswith(_NOBODYS):
            place = f"{Path(file).name}:{traceback.tb_lineno}"
            if any(part in file for part in _INSTALLED):
                installed = place
            elif not file.startswith(_STANDARD_LIBRARY):
                own = place
        traceback = traceback.tb_next
    return own or installed
