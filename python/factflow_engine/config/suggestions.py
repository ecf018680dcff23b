"""Suggestions for an unknown name.

Kept separate from the checks because the work must be bounded for a document as a whole: comparing thousands of wrong
names with thousands of right ones takes minutes.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final

MOST_WORK: Final = 40_000
"""Comparisons of short names for one document: a fraction of a second."""

_ALIKE: Final = 0.6
_LONGEST: Final = 80
_SHOWN: Final = 20
_NAME_AT: Final = 128
"""Characters of both names in one unit of work, beyond the first."""


class Suggestions:
    """Suggestions for one document; when the work is used up, the known names are listed instead.

    Args:
        work: Most comparisons.
    """

    def __init__(self, work: int = MOST_WORK) -> None:
        self.left = work

    def remedy(self, name: str, known: Sequence[str]) -> str:
        """Return the remedy for a name that is not among the known ones."""
        near = self._nearest(name[:_LONGEST], known)
        if near is not None:
            return f"write {near!r}"
        shown = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
        return f"remove it, or write one of: {shown}" if known else "remove it"

    def _nearest(self, name: str, known: Sequence[str]) -> str | None:
        """Return the known name most similar to this one; None if none is similar or the work is used up."""
        if self.left < len(known):
            return None
        self.left -= len(known)
        matcher = SequenceMatcher(None, "", name)
        best, nearest = _ALIKE, None
        for candidate in known:
            # The similarity is at most the length of the shorter one.
            if 2 * min(len(candidate), len(name)) < best * (len(candidate) + len(name)):
                continue
            matcher.set_seq1(candidate)
            self.left -= 1 + len(candidate) * len(name) // _NAME_AT
            if self.left < 0:
                break
            if matcher.quick_ratio() < best:
                continue
            ratio = matcher.ratio()
            if ratio > best or (nearest is None and ratio == best):
                best, nearest = ratio, candidate
        return nearest
