"""Glob patterns over relative paths, as ignore files write them; the standard library has them from Python 3.13 on.

A pattern becomes a regular expression that backtracks nowhere but in the last star of a run. Of `a*b*c`, the leftmost
place where `b` fits leaves the most room for what follows, so that place is final: it is found by a lazy star in an
atomic group, which is how CPython's `fnmatch.translate` does it. The same holds one storey higher, for the runs of
segments between two `**/`. A match takes at most the product of the lengths of pattern and path.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, Field

_STAR: Final = object()
"""Stands for `*` among the one-character expressions of a segment."""
_FOLDERS: Final = "**"


class GlobSet:
    """Matches a path if one of the patterns does.

    A pattern without a slash is matched against the last name, at any depth; one with a slash against the whole
    relative path. `*` and `?` stop at slashes, `**/` is any number of folders, a final `/**` is all that lies below,
    `[abc]` and `[!abc]` are sets, of which no member is a slash. Case matters.
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
    # Runs of segments that stand side by side; between two of them lies a `**/`.
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
    """The expression for what stands between two slashes."""
    pieces: list[str] = [""]  # what stands between two stars
    for one in _characters(segment, pattern):
        if isinstance(one, str):
            pieces[-1] += one
        else:
            pieces.append("")
    if len(pieces) == 1:
        return pieces[0]
    middle = "".join(_leftmost("[^/]*?", piece) for piece in pieces[1:-1])
    # The last piece stands where the segment ends, and nowhere else.
    return f"{pieces[0]}{middle}(?>[^/]*{pieces[-1]}(?![^/]))"


def _leftmost(gap: str, fixed: str) -> str:
    """The first place where something fits; never reconsidered."""
    return f"(?>{gap}{fixed})" if fixed else ""


def _characters(segment: str, pattern: str) -> Sequence[str | object]:
    """An expression for each character, `_STAR` for a run of stars."""
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
    """The expression for a set that begins here, and where it ends."""
    start = position + 2 if segment.startswith("[!", position) else position + 1
    close = segment.find("]", start + 1)  # a bracket in the first place is a member
    if close < 0:
        raise ValueError(
            f"{pattern!r} has a '[' that is never closed before the next slash; write '[[]' for the character itself"
        )
    members = _members(segment[start:close], pattern)
    negated = start == position + 2
    return (f"[^/{members}]" if negated else f"(?!/)[{members}]"), close + 1


def _members(text: str, pattern: str) -> str:
    """The inside of a set with nothing special left in it but the hyphens of ranges."""
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
