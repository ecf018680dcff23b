"""Written form of a complete configuration: plain data, in which `${` is escaped or begins a reference.

Kept separate from the models because it depends on how text is read back.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from factflow_engine.config.written import escape

_SECTIONS: Final = frozenset({"error_handling", "backpressure", "circuit_breaker"})
"""Sections that a level inherits from the one above, field by field."""


def to_mapping(model: BaseModel) -> dict[str, Any]:
    """Return a model as plain data in written form, without the fields that are absent."""
    written = _model(model)
    for path, text in getattr(model, "_references", {}).items():
        target: Any = written
        for part in path[:-1]:
            target = target[part]
        target[path[-1]] = text
    return written


def _model(model: BaseModel, above: frozenset[str] = frozenset(), *, complete: bool = False) -> dict[str, Any]:
    """Return a model's fields, leaving out absent ones unless their default or the level above would fill them in.

    Args:
        model: The model.
        above: Sections that the level above has.
        complete: True if the model is such a section: the one above may have any of its fields.
    """
    present = frozenset(name for name in _SECTIONS if getattr(model, name, None) is not None)
    result: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        is_default = not field.is_required() and field.default is None
        if value is None and is_default and not (complete or name in above):
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
