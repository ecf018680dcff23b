"""Text of a configuration in written form, and its hash.

Kept separate from `mapping` because it needs no models: a program that starts an execution hashes, and imports none.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from factflow_engine.config.scalars import resolve_plain
from factflow_engine.config.written import Reference

_SAFE_PLAIN: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")

_OTHERS_BOOLEANS: Final = frozenset({"y", "yes", "n", "no", "on", "off"})
"""Strings for this loader that other YAML readers take for booleans."""


def canonical_hash(written: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hexadecimal, of data in written form; the order of keys does not matter."""
    text = json.dumps(_tagged(written), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _tagged(value: Any) -> Any:
    # A quoted and an unquoted reference are read differently, so their hashes must differ.
    if isinstance(value, Reference):
        return {"$reference": str(value)}
    if isinstance(value, Mapping):
        return {key: _tagged(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tagged(item) for item in value]
    return value


def to_yaml(written: Any) -> str:
    """Return plain data in written form as YAML text.

    Raises:
        TypeError: The data holds a value that YAML cannot express; the text says which and where.
    """
    return "\n".join(_lines(written, "", ())) + "\n"


def _lines(value: Any, indent: str, path: tuple[str | int, ...]) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{_dotted(path)}: keys must be strings, got {key!r} ({type(key).__name__})")
            yield from _entry(f"{indent}{_text(key)}:", item, f"{indent}  ", (*path, key))
    elif isinstance(value, (list, tuple)) and value:
        for index, item in enumerate(value):
            lines = _lines(item, f"{indent}  ", (*path, index))
            # The item's first line follows its dash.
            yield f"{indent}- {next(lines)[len(indent) + 2 :]}"
            yield from lines
    else:
        yield indent + _scalar(value, path)


def _entry(head: str, value: Any, indent: str, path: tuple[str | int, ...]) -> Iterator[str]:
    if isinstance(value, (Mapping, list, tuple)) and value:
        yield head
        yield from _lines(value, indent, path)
    else:
        yield f"{head} {_scalar(value, path)}"


def _scalar(value: Any, path: tuple[str | int, ...]) -> str:
    match value:
        case Reference():
            return str(value)
        case str():
            return _text(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            if math.isnan(value):
                return ".nan"
            if math.isinf(value):
                return ".inf" if value > 0 else "-.inf"
            return repr(value)
        case Mapping():
            return "{}"
        case list() | tuple():
            return "[]"
        case _:
            raise TypeError(f"{_dotted(path)}: YAML has no word for {type(value).__name__}")


def _text(value: str) -> str:
    is_plain = _SAFE_PLAIN.fullmatch(value) and isinstance(resolve_plain(value), str)
    if is_plain and value.lower() not in _OTHERS_BOOLEANS:
        return value
    return '"' + "".join(_escaped(char) for char in value) + '"'


def _escaped(char: str) -> str:
    if char in {'"', "\\"}:
        return "\\" + char
    if " " <= char <= "~":
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path)) or "the document"
