"""Keys of objects: the one place that says which are keys, for every store.

Kept separate from the stores because a key that one of them takes must be one everywhere: an object may be moved.
"""

import unicodedata
from typing import Final

from factflow_protocols import StorageKeyError

LONGEST_KEY_BYTES: Final = 900
"""Longest key: S3, GCS and Azure take 1,024 bytes, of which a store's own folder and a sidecar's ending take some."""

LONGEST_PART_BYTES: Final = 200
"""Longest part of a key: file systems take 255 bytes, of which a sidecar's ending takes some."""

SIDECAR_ENDING: Final = ".meta.json"
"""Ending of the objects and files that hold the metadata of others."""

OWN_PREFIX: Final = ".factflow-"
"""Beginning of the names that stores give to what is no object."""

_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_REFUSED_CHARACTERS: Final = frozenset("\\\ufffe\uffff")
"""Characters that no S3 answer can carry (XML has neither of the last two), or that file systems take for a slash."""


def check_key(key: str) -> str:
    """Return the key if it is one.

    Raises:
        StorageKeyError: It is none; the text says what to change.
    """
    problem = key_problem(key)
    if problem:
        raise StorageKeyError(str(key), problem)
    return key


def check_prefix(prefix: str) -> str:
    """Return the beginning of keys if there can be keys that begin so.

    Raises:
        StorageKeyError: No key begins so; the text says what to change.
    """
    # Any end may go on: `..` to `..a`, and `a/` to `a/b`.
    folder, slash, _ = prefix.rpartition("/")
    problem = _character_problem(prefix) or (key_problem(folder) if slash else "")
    if problem:
        raise StorageKeyError(prefix, f"no key begins so: {problem}")
    return prefix


def key_problem(key: object) -> str:
    """Return the reason for which a text is no key; empty if it is one."""
    if not isinstance(key, str):
        return f"expected a text as key, got {type(key).__name__}"
    if not key:
        return "the key is empty; write one such as 'reports/2026.txt'"
    if len(key) > LONGEST_KEY_BYTES:
        return f"the key has {len(key):,} characters; expected at most {LONGEST_KEY_BYTES} bytes"
    problem = _character_problem(key)
    if problem:
        return problem
    if len(key.encode()) > LONGEST_KEY_BYTES:
        return f"the key has {len(key.encode()):,} bytes; expected at most {LONGEST_KEY_BYTES}"
    return next(filter(None, map(_part_problem, key.split("/"))), "")


def _character_problem(text: str) -> str:
    if text.isascii() and text.isprintable() and "\\" not in text:
        return ""
    for character in text:
        if character in _REFUSED_CHARACTERS or unicodedata.category(character) in _REFUSED_CATEGORIES:
            return f"the key has the character {character!a}, which no key may have; leave it out"
    return ""


def _part_problem(part: str) -> str:
    if not part:
        return "the key has an empty part; write single slashes, and none at its beginning or end"
    if part in {".", ".."}:
        return f"the key has the part {part!r}; write the path that is meant, from the store's root"
    if len(part.encode()) > LONGEST_PART_BYTES:
        return (
            f"a part of the key has {len(part.encode())} bytes; expected at most {LONGEST_PART_BYTES} between slashes"
        )
    if part.endswith(SIDECAR_ENDING):
        return f"{part!r} ends in {SIDECAR_ENDING}, which is for the metadata of objects; choose another ending"
    if part.startswith(OWN_PREFIX):
        return f"{part!r} begins with {OWN_PREFIX}, which is for the store itself; choose another name"
    return ""
