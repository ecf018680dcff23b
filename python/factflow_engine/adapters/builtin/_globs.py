"""Glob patterns over relative paths, as ignore files write them; the standard library has them from Python 3.13 on."""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field


class GlobSet:
    """Matches a path if one of the patterns does.

    A pattern without a slash is matched against the last name, at any depth; one with a slash against the whole
    relative path. `*` and `?` stop at slashes, `**/` is any number of folders, a final `/**` is all that lies below,
    `[abc]` and `[!abc]` are sets. Case matters.
    """

    __slots__ = ("_names", "_paths")

    def __init__(self, patterns: Iterable[str]) -> None:
        listed = tuple(patterns)
        self._names = tuple(_compiled(pattern) for pattern in listed if "/" not in pattern)
        self._paths = tuple(_compiled(pattern.removeprefix("/")) for pattern in listed if "/" in pattern)

    def matches(self, relative_path: str) -> bool:
        """Whether the path, with slashes, matches."""
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
    out = []
    position = 0
    while position < len(pattern):
        if pattern.startswith("**/", position) and (position == 0 or pattern[position - 1] == "/"):
            out.append("(?:[^/]+/)*")
            position += 3
        elif pattern[position:] == "**" and (position == 0 or pattern[position - 1] == "/"):
            out.append(".+")
            position += 2
        else:
            text, position = _one(pattern, position)
            out.append(text)
    return re.compile("".join(out), re.DOTALL)


def _one(pattern: str, position: int) -> tuple[str, int]:
    char = pattern[position]
    if char == "*":
        end = position
        while end < len(pattern) and pattern[end] == "*":
            end += 1
        return "[^/]*", end
    if char == "?":
        return "[^/]", position + 1
    if char != "[":
        return re.escape(char), position + 1
    start = position + 2 if pattern.startswith("[!", position) else position + 1
    close = pattern.find("]", start + 1)  # a bracket in the first place is a member
    if close < 0:
        raise ValueError(f"{pattern!r} has a '[' that is never closed; write '[[]' for the character itself")
    members = pattern[start:close].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^").replace("]", "\\]")
    try:
        re.compile(f"[{members}]")
    except re.error as error:
        raise ValueError(f"{pattern!r} has a set that means nothing: {error.msg}") from error
    return (f"[^/{members}]" if start == position + 2 else f"[{members}]"), close + 1
