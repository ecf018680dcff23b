"""Hides what came from the environment: in a text, values become the references that stand for them.

Apart from the loader, whose findings need it first, because everything that a run prints or stores needs it too.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Final

from factflow_engine.errors import CUT

SHORTEST: Final = 4
"""Shorter values are left: replacing every `1` would hide nothing and garble everything."""

NESTING: Final = 2
"""How often a value may have been quoted: in an error's text, of which another one shows the `repr`."""


class Hiding:
    """Replaces values by how they were written, `${NAME}`.

    A value is found as it is, as `repr` and JSON quote it, line by line if it has several (a traceback indents them),
    and as far as it goes where a text was cut to a length. What is found is hidden whole, also where values overlap.

    Args:
        values: By value, what stands for it.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    @cached_property
    def _spellings(self) -> list[tuple[str, str]]:
        return [
            (spelling, written)
            for value, written in self._values.items()
            for spelling in dict.fromkeys(_quoted([value, *value.splitlines()]))
            if len(spelling) >= SHORTEST
        ]

    def __call__(self, text: str) -> str:
        """The text without the values."""
        # Of those that begin at one place the longest names them all.
        found = sorted(self._found(text), key=lambda place: (place[0], -place[1]))
        parts: list[str] = []
        hidden = 0  # everything before is in the parts, or is not to be seen
        for start, end, written in found:
            if start >= hidden:
                parts += [text[hidden:start], written]
            hidden = max(hidden, end)
        return "".join([*parts, text[hidden:]])

    def _found(self, text: str) -> Iterator[tuple[int, int, str]]:
        is_cut = CUT in text
        for spelling, written in self._spellings:
            sought = spelling[:SHORTEST] if is_cut else spelling
            start = text.find(sought)
            while start >= 0:
                end = start + len(spelling)
                if not text.startswith(spelling, start):
                    end = text.find(CUT, start, end)
                if end > start and spelling.startswith(text[start:end]):
                    yield start, end, written
                start = text.find(sought, start + 1)


def _quoted(texts: list[str]) -> list[str]:
    for _ in range(NESTING):
        texts = list(dict.fromkeys(form for text in texts for form in (text, *_quotings(text))))
    return texts


def _quotings(text: str) -> Iterator[str]:
    data = text.encode(errors="backslashreplace")
    yield data.decode()  # what `error_text` makes of bytes that are no text
    # Each `repr` twice: with a quote beside it that makes it escape the other kind.
    yield repr(text)[1:-1]
    yield repr(text + '"')[1:-2]
    yield repr(data)[2:-1]
    yield repr(data + b'"')[2:-2]
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
