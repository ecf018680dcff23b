"""Keys of stored objects: `executions/<execution>/<route>/<stage>/<message-id>[.extension]`.

Kept separate from the writer because readers (replay, `explain`, listings) derive and parse the same keys.
"""

import re
from typing import Final, NamedTuple

ROOT: Final = "executions"
"""First part of the key of every object that belongs to an execution."""

MESSAGE_EXTENSION: Final = "msgpack"
"""Extension of objects that hold whole messages."""

EXTENSION_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,15}(\.[A-Za-z0-9][A-Za-z0-9_-]{0,15}){0,2}$"
"""Pattern of a file extension without its first dot, such as `html` or `tar.gz`."""

RESERVED_EXTENSIONS: Final = ("meta.json",)
"""Extensions that object stores use for the metadata beside an object."""

_KEY: Final = re.compile(
    rf"{ROOT}/(?P<execution>[^/]+)/(?P<route>[^/]+)/(?P<stage>[^/]+)/(?P<message>[0-9a-f]{{32}})(?:\.(?P<extension>[^/]+))?"
)


class StageKey(NamedTuple):
    """Parts of a stored object's key.

    Attributes:
        execution_id: The execution.
        route: Route id.
        stage: Stage name.
        message_id: 32 hexadecimal digits.
        extension: File extension without its first dot; empty for none.
    """

    execution_id: str
    route: str
    stage: str
    message_id: str
    extension: str

    def __str__(self) -> str:
        return object_key(*self)


def execution_prefix(execution_id: str) -> str:
    """Return the prefix of an execution's keys, with a slash at its end."""
    return f"{ROOT}/{execution_id}/"


def stage_prefix(execution_id: str, route: str, stage: str) -> str:
    """Return the prefix of the keys of one stage, with a slash at its end."""
    return f"{ROOT}/{execution_id}/{route}/{stage}/"


def object_key(execution_id: str, route: str, stage: str, message_id: str, extension: str = "") -> str:
    """Return the key of what a stage stores of a message."""
    suffix = f".{extension}" if extension else ""
    return f"{stage_prefix(execution_id, route, stage)}{message_id}{suffix}"


def extension_of(extension: str | None, content_field: str | None) -> str:
    """Return the extension of a stage's objects: the given one, or for whole messages `msgpack`, or none."""
    if extension is not None:
        return extension
    return MESSAGE_EXTENSION if content_field is None else ""


def parse_key(key: str) -> StageKey | None:
    """Return the parts of a key; None if it is not the key of a stage's object."""
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    return StageKey(found["execution"], found["route"], found["stage"], found["message"], found["extension"] or "")


def extension_problem(extension: str) -> str | None:
    """Return why no object can have this extension; None if one can."""
    lowered = extension.lower()
    for reserved in RESERVED_EXTENSIONS:
        if lowered == reserved or lowered.endswith(f".{reserved}"):
            return f"object stores keep metadata in files that end in .{reserved}"
    if re.fullmatch(EXTENSION_PATTERN, extension) is None:
        return "expected letters, digits, '_' and '-', at most 16 a part, such as html or tar.gz"
    return None
