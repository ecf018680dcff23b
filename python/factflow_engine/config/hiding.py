"""Hides what came from the environment: in a text, values become the references that stand for them.

Kept separate from the loader, whose findings need it first, because everything that a run prints or stores needs it too.
"""

import bisect
import json
from collections.abc import Iterator, Mapping
from typing import Final

from factflow_engine.errors import CUT

SHORTEST: Final = 4
"""Shorter values are left: replacing every `1` would hide nothing and garble everything."""

_MOST_SEARCHES: Final = 16
"""With more beginnings of values than this a text is looked through once for all, rather than once for each."""

NESTING: Final = 2
"""How often a value may have been quoted: in an error's text, of which another one shows the `repr`."""


class Hiding:
    """Replaces values by how they were written, `${NAME}`.

    A value is found as it is, as `repr` and JSON quote it, line by line if it has several (a traceback indents them),
    and as far as it goes where a text was cut to a length. What is found is hidden whole, also where values overlap.

    The values are filed under their first characters, so that a text costs what it is long, however many there are.

    Args:
        values: By value, what stands for it.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        # What was added and is not filed yet: filing waits for the first text.
        self._added = list(values.items())
        self._written: dict[str, str] = {}
        # By the first characters of spellings: all of them, sorted, and the lengths that they have, longest first.
        self._filed: dict[str, tuple[list[str], list[int]]] = {}

    def add(self, value: str, written: str) -> None:
        """Hide one more value from now on."""
        self._added.append((value, written))

    def _file(self) -> None:
        for value, written in self._added:
            for spelling in dict.fromkeys(_quoted([value, *value.splitlines()])):
                if len(spelling) < SHORTEST:
                    continue
                if spelling not in self._written:
                    spellings, lengths = self._filed.setdefault(spelling[:SHORTEST], ([], []))
                    bisect.insort(spellings, spelling)
                    if len(spelling) not in lengths:
                        bisect.insort(lengths, len(spelling), key=lambda length: -length)
                self._written[spelling] = written
        self._added.clear()

    def __call__(self, text: str) -> str:
        """The text without the values."""
        if self._added:
            self._file()
        parts: list[str] = []
        hidden = 0  # everything before is in the parts, or is not to be seen
        for start, end, written in self._found(text):
            if start >= hidden:
                parts += [text[hidden:start], written]
            hidden = max(hidden, end)
        return "".join([*parts, text[hidden:]])

    def _found(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Where values stand, in order; of those that begin at one place, the longest."""
        is_cut = CUT in text
        for start in self._starts(text):
            spellings, lengths = self._filed[text[start : start + SHORTEST]]
            for length in lengths:
                written = self._written.get(text[start : start + length])
                if written is not None:
                    yield start, start + length, written
                    break
            if not is_cut:
                continue
            end = text.find(CUT, start)
            if end <= start:
                continue
            beginning = text[start:end]
            at = bisect.bisect_left(spellings, beginning)
            # The spelling that is the beginning itself has been looked for already.
            at += at < len(spellings) and spellings[at] == beginning
            if at < len(spellings) and spellings[at].startswith(beginning):
                yield start, end, self._written[spellings[at]]

    def _starts(self, text: str) -> Iterator[int]:
        """Where a value may begin, in order."""
        if not self._filed:
            return
        if len(self._filed) > _MOST_SEARCHES:
            for start in range(len(text) - SHORTEST + 1):
                if text[start : start + SHORTEST] in self._filed:
                    yield start
            return
        found: list[int] = []
        for first in self._filed:
            start = text.find(first)
            while start >= 0:
                found.append(start)
                start = text.find(first, start + 1)
        yield from sorted(found)


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
