"""The written form of a complete configuration: plain data, YAML text, and the hash of both.

Kept separate from the models because it knows how text is read back: what must be quoted, and what `${` means.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from factflow_engine.config.scalars import resolve_plain
from factflow_engine.config.written import Reference, escape

_SECTIONS: Final = frozenset({"error_handling", "backpressure", "circuit_breaker"})
"""What a level takes from the one above, field by field."""
_SAFE_PLAIN: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")

_OTHERS_BOOLEANS: Final = frozenset({"y", "yes", "n", "no", "on", "off"})
"""Strings to us, but not to every reader of YAML."""


def to_mapping(model: BaseModel) -> dict[str, Any]:
    """A model as plain data in written form, without the fields that are absent."""
    written = _model(model)
    for path, text in getattr(model, "_references", {}).items():
        target: Any = written
        for part in path[:-1]:
            target = target[part]
        target[path[-1]] = text
    return written


def _model(model: BaseModel, above: frozenset[str] = frozenset(), *, complete: bool = False) -> dict[str, Any]:
    """A model's fields; those that are absent only where the level above would fill them in.

    Args:
        model: The model.
        above: Sections that the level above has.
        complete: The model is such a section: the one above may have any of its fields.
    """
    present = frozenset(name for name in _SECTIONS if getattr(model, name, None) is not None)
    result: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if value is None and not (complete or field.is_required() or name in above):
            continue
        if name in _SECTIONS and isinstance(value, BaseModel):
            result[name] = _model(value, complete=True)
        else:
            result[name] = _value(value, present)
    return result


def _value(value: Any, above: frozenset[str]) -> Any:
    if isinstance(value, BaseModel):
        root = getattr(value, "root", None)
        return _model(value, above) if root is None else _value(root, above)
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, Mapping):
        return {key: _value(item, above) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_value(item, above) for item in value]
    return value


def canonical_hash(written: Mapping[str, Any]) -> str:
    """SHA-256, in hexadecimal, of data in written form; the order of keys does not count."""
    text = json.dumps(_tagged(written), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _tagged(value: Any) -> Any:
    # A quoted and an unquoted reference read differently, so they must not hash alike.
    if isinstance(value, Reference):
        return {"$reference": str(value)}
    if isinstance(value, Mapping):
        return {key: _tagged(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tagged(item) for item in value]
    return value


def to_yaml(written: Any) -> str:
    """Plain data in written form as YAML text.

    Raises:
        TypeError: It holds something that YAML has no word for; the text says what and where.
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
            # The item's first line stands beside its dash.
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
