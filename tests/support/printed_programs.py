"""Programs of a page with the output that the page shows below them, run one after the other."""

import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

from factflow_engine.version import __version__
from support.doc_pages import text

_PROGRAM = re.compile(r"^```python\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
_VERSION = re.compile(r"factflow-engine \d+\.\d+\.\d+\S*")


def assert_programs_print_what_is_shown(page: Path, *, outputs: int) -> None:
    """Run all programs of a page in one namespace, and compare what they print; one without an output prints nothing.

    Args:
        page: The page.
        outputs: Number of outputs that it shows, all of them below a program.
    """
    names: dict[str, object] = {"__name__": "page"}
    compared = 0
    for program, shown in _programs(page):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(program, "page.py", "exec"), names)
        assert out.getvalue() == _VERSION.sub(f"factflow-engine {__version__}", shown), program
        compared += bool(shown)
    assert compared == text(page).count("```text") == outputs


def _programs(page: Path) -> Iterator[tuple[str, str]]:
    yield from _PROGRAM.findall(text(page))
