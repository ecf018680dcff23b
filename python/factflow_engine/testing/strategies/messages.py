"""Strategy for messages: any that a frame can carry, or those that a JSON Schema allows.

Kept separate from `schemas`, which builds values of any schema, also of an adapter's configuration.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from hypothesis import strategies as st

from factflow_engine.testing.strategies.schemas import values_of

NAMES: Final = ("id", "name", "kind", "total", "tags", "url")
"""Fields of messages and paths of conditions, unless others are given."""

TEXTS: Final = st.text("abcxyz019 -._/é", max_size=8)
NUMBERS: Final = st.integers(-1_000, 1_000) | st.floats(allow_nan=False, width=32)
SCALARS: Final = st.none() | st.booleans() | NUMBERS | TEXTS


def messages(
    json_schema: Mapping[str, Any] | bool | None = None,  # noqa: FBT001 - a schema may be true or false
    *,
    fields: Sequence[str] = NAMES,
) -> st.SearchStrategy[Any]:
    """Return a strategy for messages: values that a JSON Schema allows, or maps of some fields to any values.

    From a schema (draft 2020-12, as pydantic writes it) values are built keyword by keyword: `type`, `enum`, `const`;
    bounds, `multipleOf`, lengths, `pattern`, and `format` of dates, times, addresses and ids; `properties`, `required`,
    `additionalProperties`, `propertyNames`; `items`, `prefixItems`, `uniqueItems`; `anyOf`, `oneOf`, `allOf`, and local
    `$ref`. Integers are those that messages can carry: 64 bits. Fields that a schema allows and does not name are not
    drawn.

    Args:
        json_schema: The schema; None for maps of the fields.
        fields: Names of fields, without a schema.

    Raises:
        UnsupportedSchemaError: The schema has a keyword from which nothing can be built, or allows no value.

    Example:
        tickets = messages({"type": "object", "properties": {"priority": {"type": "integer", "minimum": 0}}})
    """
    return _maps(tuple(fields)) if json_schema is None else values_of(json_schema)


@cache
def _maps(fields: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    values = st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    )
    return st.dictionaries(st.sampled_from(fields), values, max_size=len(fields))
