"""Text of a condition: a short line that labels an edge.

For reading only: the compiler defines what a condition means.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

_SIGNS: Final = {"eq": "=", "neq": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_LONGEST_VALUE: Final = 60


def condition_text(condition: Mapping[str, Any]) -> str:
    """Return a condition in words: `tokens > 0 and not (lang in ["xx"])`."""
    return _text(condition, nested=False)


def _text(condition: object, *, nested: bool) -> str:
    if not isinstance(condition, Mapping):
        return _value(condition)
    for key, word in (("all_of", " and "), ("any_of", " or ")):
        if isinstance(condition.get(key), (list, tuple)):
            parts = condition[key]
            text = word.join(_text(part, nested=len(parts) > 1) for part in parts)
            return f"({text})" if nested and len(parts) > 1 else text or ("always" if key == "all_of" else "never")
    if "not" in condition:
        return f"not ({_text(condition['not'], nested=False)})"
    if "any_element" in condition:
        return _element_text(condition["any_element"])
    return _leaf(condition)


def _element_text(element: object) -> str:
    if not isinstance(element, Mapping):
        return f"any element ({_value(element)})"
    return f"any element of {_field(element.get('field', ''))} with ({_text(element.get('condition'), nested=False)})"


def _leaf(condition: Mapping[str, Any]) -> str:
    field, operator = _field(condition.get("field", "")), str(condition.get("operator", "?"))
    words = [field, _SIGNS.get(operator, operator)]
    if "value" in condition:
        words.append(_value(condition["value"]))
    return " ".join(word for word in words if word)


def _field(field: object) -> str:
    return field if isinstance(field, str) else _value(field)


def _value(value: object) -> str:
    text = (
        value if isinstance(value, str) and value.isidentifier() else json.dumps(value, ensure_ascii=False, default=str)
    )
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."
