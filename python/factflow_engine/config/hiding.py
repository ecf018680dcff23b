"""Hiding of values from the environment: in a text, each value is replaced by its reference.

Kept separate from the loader because everything that a run prints or stores needs it, too, not only findings.
"""

import bisect
import json
from collections.abc import Iterator, Mapping
from typing import Final

from factflow_engine.error_texts import CUT

SHORTEST: Final = 4
"""Shorter values stay: replacing every `1` would hide nothing and garble everything."""

_MOST_SEARCHES: Final = 16
"""Number of values above which a text is scanned once for all of them, rather than once for each."""

NESTING: Final = 2
"""Levels of quoting that are recognised: an error's text may be shown by the `repr` of another one."""


class Hiding:
    """Replacement of values by their written form, `${NAME}`.

    A value is found verbatim, as quoted by `repr` and JSON, line by line if it has several (a traceback indents them),
    and as a prefix where a text was cut to a length. Matches are hidden completely, also where values overlap. Values
    are indexed by their first characters, so that the cost is linear in the text, however many there are.

    Args:
        values: Value to the text that replaces it.
    """

    def __init__(self, values: Mapping[str, str]) -> None:
        # Values that were added and not indexed: indexing waits for the first text.
        self._added = list(values.items())
        self._written: dict[str, str] = {}
        # By the first characters of spellings: all of them, sorted, and their lengths, longest first.
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

    def spellings(self) -> Mapping[str, str]:
        """Return all texts that are hidden, each with what replaces it."""
        self._file()
        return self._written

    def __call__(self, text: str) -> str:
        """Return the text without the values."""
        if self._added:
            self._file()
        parts: list[str] = []
        hidden = 0  # everything before is in the parts, or must not be shown
        for start, end, written in self._found(text):
            if start >= hidden:
                parts += [text[hidden:start], written]
            hidden = max(hidden, end)
        return "".join([*parts, text[hidden:]])

    def _found(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield the places of values, in order; of values at one place, the longest."""
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
            # The spelling that equals the prefix has been looked for already.
            at += at < len(spellings) and spellings[at] == beginning
            if at < len(spellings) and spellings[at].startswith(beginning):
                yield start, end, self._written[spellings[at]]

    def _starts(self, text: str) -> Iterator[int]:
        """Yield the places where a value may begin, in order."""
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
    yield data.decode()  # the form that `error_text` gives to undecodable bytes
    # Each `repr` twice: with a quote beside it that makes it escape the other kind.
    yield repr(text)[1:-1]
    yield repr(text + '"')[1:-2]
    yield repr(data)[2:-1]
    yield repr(data + b'"')[2:-2]
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
