"""Glob patterns over relative paths, as in ignore files; the standard library has them from Python 3.13 on.

A pattern becomes a regular expression that backtracks nowhere but in the last star of a run. In `a*b*c`, the leftmost
match of `b` leaves the most room for what follows, so that match is final: a lazy star in an atomic group finds it, as
in CPython's `fnmatch.translate`. The same holds one level higher, for the runs of segments between two `**/`. A match
takes at most time proportional to the product of the lengths of pattern and path.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, Field

_STAR: Final = object()
"""Marker of `*` among the one-character expressions of a segment."""
_FOLDERS: Final = "**"


class GlobSet:
    """Set of patterns that matches a path if one of the patterns does.

    A pattern without a slash is matched against the last name, at any depth; one with a slash against the whole
    relative path. `*` and `?` stop at slashes, `**/` is any number of folders, a final `/**` is everything below,
    `[abc]` and `[!abc]` are sets, which never contain a slash. Case matters.
    """

    __slots__ = ("_names", "_paths")

    def __init__(self, patterns: Iterable[str]) -> None:
        listed = tuple(patterns)
        self._names = tuple(_compiled(pattern) for pattern in listed if "/" not in pattern)
        self._paths = tuple(_compiled(pattern.removeprefix("/")) for pattern in listed if "/" in pattern)

    def matches(self, relative_path: str) -> bool:
        """True if the path, with slashes, matches."""
        name = relative_path.rpartition("/")[2]
        return any(pattern.fullmatch(name) for pattern in self._names) or any(
            pattern.fullmatch(relative_path) for pattern in self._paths
        )


def _checked(pattern: str) -> str:
    if ".." in pattern.split("/"):
        raise ValueError(f"{pattern!r} leads out of the root with '..'; write it relative to the root")
    if pattern.endswith("/"):
        raise ValueError(f"{pattern!r} ends in a slash; write {pattern + '**'!r} for what lies below a folder")
    _compiled(pattern)
    return pattern


Glob = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_checked)]
"""A pydantic field that holds one pattern."""


def _compiled(pattern: str) -> re.Pattern[str]:
    segments = pattern.split("/")
    everything_below = segments[-1] == _FOLDERS
    if everything_below:
        segments.pop()
    # Runs of adjacent segments; `**/` separates two runs.
    runs: list[list[str]] = [[]]
    for segment in segments:
        if segment == _FOLDERS:
            runs.append([])
        else:
            runs[-1].append(_segment(segment, pattern))
    last = runs.pop()
    out: list[str] = []
    for index, run in enumerate(runs):
        folders = "".join(f"{segment}/" for segment in run)
        out.append(_leftmost("(?:[^/]++/)*?", folders) if index else folders)
    anywhere = "(?:[^/]++/)*" if runs else ""
    if everything_below:
        out.append(anywhere + "".join(f"{segment}/" for segment in last) + ".+")
    else:
        out.append(anywhere + "/".join(last))
    return re.compile("".join(out), re.DOTALL)


def _segment(segment: str, pattern: str) -> str:
    """Return the expression of the text between two slashes."""
    pieces: list[str] = [""]  # the text between two stars
    for one in _characters(segment, pattern):
        if isinstance(one, str):
            pieces[-1] += one
        else:
            pieces.append("")
    if len(pieces) == 1:
        return pieces[0]
    middle = "".join(_leftmost("[^/]*?", piece) for piece in pieces[1:-1])
    # The last piece must match at the end of the segment.
    return f"{pieces[0]}{middle}(?>[^/]*{pieces[-1]}(?![^/]))"


def _leftmost(gap: str, fixed: str) -> str:
    """Return the expression for the first match of `fixed`; it is never reconsidered."""
    return f"(?>{gap}{fixed})" if fixed else ""


def _characters(segment: str, pattern: str) -> Sequence[str | object]:
    """Return an expression for each character, `_STAR` for a run of stars."""
    found: list[str | object] = []
    position = 0
    while position < len(segment):
        char = segment[position]
        if char == "*":
            if not found or found[-1] is not _STAR:
                found.append(_STAR)
        elif char == "?":
            found.append("[^/]")
        elif char == "[":
            text, position = _set(segment, position, pattern)
            found.append(text)
            continue
        else:
            found.append(re.escape(char))
        position += 1
    return found


def _set(segment: str, position: int, pattern: str) -> tuple[str, int]:
    """Return the expression of the set that begins here, and its end."""
    start = position + 2 if segment.startswith("[!", position) else position + 1
    close = segment.find("]", start + 1)  # a bracket in first place is a member
    if close < 0:
        raise ValueError(
            f"{pattern!r} has a '[' that is never closed before the next slash; write '[[]' for the character itself"
        )
    members = _members(segment[start:close], pattern)
    negated = start == position + 2
    return (f"[^/{members}]" if negated else f"(?!/)[{members}]"), close + 1


def _members(text: str, pattern: str) -> str:
    """Return the inside of a set with nothing special left in it but the hyphens of ranges."""
    out = []
    position = 0
    while position < len(text):
        low = text[position]
        if text[position + 1 : position + 2] == "-" and position + 2 < len(text):
            high = text[position + 2]
            if high < low:
                raise ValueError(f"{pattern!r} has a set that means nothing: the range {low}-{high} runs backwards")
            out.append(f"{re.escape(low)}-{re.escape(high)}")
            position += 3
        else:
            out.append(re.escape(low))
            position += 1
    return "".join(out)
