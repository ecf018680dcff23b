"""The page of condition operators: texts and examples from `operators.yaml`, types by asking the engine.

Kept separate from `generate` because it evaluates conditions, and the other pages only read models.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from factflow_engine.conditions import OperatorRegistry, compile_condition
from factflow_engine.errors import ConditionErrors
from factflow_protocols import Timestamp

SOURCE: Final = Path(__file__).parent / "operators.yaml"

_TYPES: Final = ("null", "bool", "number", "str", "bin", "array", "map", "timestamp")
_TIMES: Final = [{"$timestamp": "1970-01-01T00:00:00Z"}, {"$timestamp": "2026-01-01T00:00:00Z"}]

_VALUES: Final[Mapping[str, Sequence[Any]]] = {
    "null": [None],
    "true or false": [True, False],
    "a number": [0, 1, 2.5],
    "a text": ["a", "10.0.0.0/8", *_TYPES],
    "bytes": [{"$bin": "YQ=="}],
    "a timestamp": _TIMES,
    "a list": [
        [0, 1],
        ["a", "b"],
        ["10.0.0.0/8"],
        [*_TYPES],
        [{"$bin": "YQ=="}] * 2,
        _TIMES,
        [None, True, [0, 1], {"a": 1}],
    ],
    "a map": [{"a": 1}, {"gte": 0, "lt": 9}],
}
"""Samples of what a condition's `value` may be."""

_FIELDS: Final[Mapping[str, Sequence[Any]]] = {
    "null": [None],
    "booleans": [True, False],
    "numbers": [0, 1, 2.5, -1, 9.5],
    "text": ["a", "", "z", "10.1.1.1", "str"],
    "bytes": [b"a", b"", b"z"],
    "timestamps": [Timestamp(1_767_225_600, 0), Timestamp(0, 0), Timestamp(4_000_000_000, 0)],
    "lists": [[0, 1], ["a", "b"], [], [b"a"]],
    "maps": [{"a": 1}, {}, {"gte": 0, "lt": 9}],
}
"""Samples of what a message's field may be."""


def lines() -> Iterator[str]:
    """Yield the lines of the page, below its heading.

    Raises:
        ValueError: The source lacks an operator, or an example is not what the engine says.
    """
    source = YAML(typ="safe").load(SOURCE)
    named = [row["name"] for row in source["operators"]]
    if sorted(named) != sorted(OperatorRegistry().names()):
        raise ValueError(f"{SOURCE} has {named}; expected {OperatorRegistry().names()}")
    yield ""
    yield "What each asks, which `value` it takes, for which fields it can hold, and what becomes of messages, as the engine"
    yield "judges them. [Conditions](../conditions.md) has the rules that all share."
    for row in source["operators"]:
        yield from _section(row)
        yield f"- `value`: {_values(row['name'])}"
        yield f"- holds for: {_fields(row['name'])}"
    yield ""
    yield "## Combined conditions"
    for row in source["combined"]:
        yield from _section(row, level="###")


def _section(row: Mapping[str, Any], *, level: str = "##") -> Iterator[str]:
    condition = compile_condition(_parsed(row["condition"]))
    for expected in (True, False):
        for message in row["holds" if expected else "fails"]:
            if condition.matches_value(_parsed(message)) is not expected:
                raise ValueError(f"{SOURCE}: {row['condition']} of {message} is {not expected}")
    yield ""
    yield f"{level} `{row['name']}`"
    yield ""
    yield row["meaning"]
    yield ""
    yield "```yaml"
    yield f"condition: {row['condition']}"
    yield "```"
    yield ""
    yield f"- true for {_listed(row['holds'])}"
    yield f"- false for {_listed(row['fails'])}"


def _listed(messages: Sequence[str]) -> str:
    return ", ".join(f"`{message}`" for message in messages)


def _parsed(text: str) -> Any:
    return YAML(typ="safe").load(text)


def accepted(operator: str) -> dict[str, list[Any]]:
    """Return the samples of `value` that an operator takes, by kind."""
    found: dict[str, list[Any]] = {}
    for kind, samples in _VALUES.items():
        for sample in samples:
            if _compiled(operator, sample) is not None:
                found.setdefault(kind, []).append(sample)
    return found


def _values(operator: str) -> str:
    kinds = [*accepted(operator)]
    if len(kinds) == len(_VALUES):
        return "anything"
    text = ", ".join(kinds)
    try:
        compile_condition({"field": "f", "operator": operator})
    except ConditionErrors:
        return text
    return f"{text}; may be left out"


def _fields(operator: str) -> str:
    conditions = [_compiled(operator, sample) for samples in accepted(operator).values() for sample in samples]
    kinds = [
        kind
        for kind, samples in _FIELDS.items()
        if any(condition.matches_value({"f": sample}) for condition in conditions for sample in samples)
    ]
    text = "any field" if len(kinds) == len(_FIELDS) else ", ".join(kinds)
    return f"{text}; also where it is missing" if all(each.matches_value({}) for each in conditions) else text


def _compiled(operator: str, value: Any) -> Any:
    try:
        return compile_condition({"field": "f", "operator": operator, "value": value})
    except ConditionErrors:
        return None
