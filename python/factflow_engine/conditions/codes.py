"""Catalogue of the load-time errors of conditions: the meaning of each, and the remedy.

Kept separate from the compiler because documentation is printed from it, and a test holds that each code has a case.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from factflow_engine.finding_code import Code

_ROWS: Final = (
    Code(
        code="E401",
        title="unknown operator",
        explanation=(
            "No built-in operator and none of the registry has this name. Symbols are not names: `eq`, not `==`."
        ),
        remedy="write one of the operators' names, as eq, gt, in, contains, matches or exists",
    ),
    Code(
        code="E402",
        title="value of the wrong type",
        explanation=(
            "The operator could never hold for a value of this type: only numbers, strings, bytes and timestamps have "
            "an order, `in` takes a list, NaN equals nothing."
        ),
        remedy="write a value that the operator can hold for",
    ),
    Code(
        code="E403",
        title="invalid pattern",
        explanation=(
            "The regular expression is not in Rust's linear-time dialect (no look-around, no backreferences), is longer "
            "than 64 KiB, takes more than 10 MiB, or takes more than 64 MiB together with the patterns before it in the "
            "configuration. Each class of all of Unicode, as `\\w`, takes 30 kB for each time that it is repeated."
        ),
        remedy="write Rust's regex syntax, and smaller repetitions, or (?-u:\\w) for \\w",
    ),
    Code(
        code="E404",
        title="invalid path",
        explanation=(
            'The field is not a path: `a.b`, `a[0]`, `a[-1]`, `a[*].b`, `"x.y".z`, `/a/0/b`, a list of keys and '
            "indices, or `@` for the whole message or element. It has at most 128 segments."
        ),
        remedy='write "a.b", "a[0]", "a[*].b", \'"x.y".z\', "/a/0/b" or ["a", 0, "b"]',
    ),
    Code(
        code="E405",
        title="unknown key",
        explanation=(
            "Conditions have no such key. It is refused because a misspelt key would silently change the meaning."
        ),
        remedy="remove it, or correct its spelling",
    ),
    Code(
        code="E406",
        title="missing key",
        explanation=(
            "A condition needs `field`, `operator` and, except for `exists` and `is_null`, `value`; `any_element` "
            "needs `field` and `condition`. To compare with null write `value: null`."
        ),
        remedy="add it",
    ),
    Code(
        code="E407",
        title="nothing to choose from",
        explanation=(
            "An empty `all_of` or `any_of`, or an empty list where one is named, is a slip rather than a truth value. "
            "Only `in` and `not_in` take an empty list."
        ),
        remedy="name at least one, or remove it",
    ),
    Code(
        code="E408",
        title="too deep or too large",
        explanation=(
            "Conditions are nested at most 64 levels deep and have at most 10,000 parts; a literal is at most as deep "
            "as a message can be (128 levels)."
        ),
        remedy="flatten it, or write `in` with a list instead of many `eq`",
    ),
    Code(
        code="E409",
        title="not a condition",
        explanation=(
            "A condition is a mapping in one form: `field`, `operator`, `value`, or a single one of `all_of`, "
            "`any_of`, `not` and `any_element`."
        ),
        remedy="write {field, operator, value}, or one of all_of, any_of, not and any_element",
    ),
    Code(
        code="E410",
        title="invalid tagged literal",
        explanation=(
            'A literal mapping whose key begins with `$` must be `{"$bin": <base64>}` or '
            '`{"$timestamp": <RFC 3339 with an offset>}`, alone.'
        ),
        remedy='write {"$bin": "aGk="} or {"$timestamp": "2026-01-31T12:00:00Z"}',
    ),
    Code(
        code="E411",
        title="invalid bounds",
        explanation=(
            "`between` needs its lower bound first and both of one kind; the bounds of `length` must admit a length."
        ),
        remedy="write the lower bound first",
    ),
    Code(
        code="E412",
        title="invalid network",
        explanation=("`cidr` takes an address, or a network in prefix notation without bits beyond the prefix."),
        remedy='write "10.0.0.0/8", "2001:db8::/32" or a single address',
    ),
    Code(
        code="E413",
        title="value refused by an operator",
        explanation=("The operator comes from the registry, and its `check_literal` refused this value."),
        remedy="see what the operator's author says that it takes",
    ),
)

CODES: Final[Mapping[str, Code]] = MappingProxyType({row.code: row for row in _ROWS})
"""Every code that a `ConditionError` can have."""
