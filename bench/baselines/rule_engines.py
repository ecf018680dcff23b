"""Ways to find out in Python which rules of a table hold for a message: two written by hand, three libraries.

Every one takes a decoded message; the suite adds what decoding costs.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jmespath
import rule_engine
import zen

from bench.workloads.rules import Leaf, Rule

Match = Callable[[Mapping[str, Any]], list[int]]


# -- by hand: an index -------------------------------------------------------------------------------------------------


def hand_index(rules: Sequence[Rule]) -> Match:
    """What somebody writes who knows the workload: rules found by their most selective leaf, the rest verified.

    Equalities in a dict a field, prefixes in a dict a length, ranges that do not overlap in a sorted list.
    """
    equal: dict[str, dict[Any, list[tuple[int, Callable[[Any], bool]]]]] = {}
    prefixes: dict[str, dict[int, dict[str, list[tuple[int, Callable[[Any], bool]]]]]] = {}
    ranges: dict[str, list[tuple[Any, Any, int, Callable[[Any], bool]]]] = {}
    for rule in rules:
        (field, operator, value), *rest = rule.leaves
        verify = _verifier(rest)
        if operator == "eq":
            equal.setdefault(field, {}).setdefault(value, []).append((rule.id, verify))
        elif operator == "starts_with":
            lengths = prefixes.setdefault(field, {})
            lengths.setdefault(len(value), {}).setdefault(value, []).append((rule.id, verify))
        elif operator == "between":
            ranges.setdefault(field, []).append((*value, rule.id, verify))
        else:
            raise ValueError(f"the index by hand has no place for {operator!r}")
    starts = {field: [found[0] for found in sorted_ranges] for field, sorted_ranges in _sorted(ranges).items()}

    def match(message: Mapping[str, Any]) -> list[int]:
        found = []
        for field, values in equal.items():
            for number, verify in values.get(message.get(field), ()):
                if verify(message):
                    found.append(number)
        for field, lengths in prefixes.items():
            text = message.get(field, "")
            for length, texts in lengths.items():
                for number, verify in texts.get(text[:length], ()):
                    if verify(message):
                        found.append(number)
        for field, bounds in ranges.items():
            value = message.get(field)
            place = bisect_right(starts[field], value) - 1
            if place >= 0 and value <= bounds[place][1] and bounds[place][3](message):
                found.append(bounds[place][2])
        return found

    return match


def hand_lookup(rules: Sequence[Rule], *path: str) -> Match:
    """The index by hand for a table that asks one field for equality: a dict."""
    table: dict[Any, list[int]] = {}
    for rule in rules:
        table.setdefault(rule.leaves[0][2], []).append(rule.id)

    def match(message: Any) -> list[int]:
        for key in path:
            message = message[key]
        return table.get(message, [])

    return match


def _sorted(ranges: dict[str, list[Any]]) -> dict[str, list[Any]]:
    for found in ranges.values():
        found.sort(key=lambda entry: entry[0])
    return ranges


def _verifier(leaves: Sequence[Leaf]) -> Callable[[Any], bool]:
    tests = [_python(leaf) for leaf in leaves]
    function: Callable[[Any], bool] = eval(f"lambda m: {' and '.join(tests) or 'True'}")
    return function


# -- by hand: a generated scan -----------------------------------------------------------------------------------------


def generated_scan(rules: Sequence[Rule]) -> Match:
    """One generated function with an `if` a rule: the fastest linear scan that Python has."""
    lines = ["def match(m):", "    found = []"]
    patterns = {}
    for rule in rules:
        for position, (_, operator, value) in enumerate(rule.leaves):
            if operator == "matches":
                patterns[f"p{rule.id}_{position}"] = re.compile(value).search
        tests = [_python(leaf, f"p{rule.id}_{position}") for position, leaf in enumerate(rule.leaves)]
        lines += [f"    if {' and '.join(tests)}:", f"        found.append({rule.id})"]
    lines.append("    return found")
    names: dict[str, Any] = dict(patterns)
    exec("\n".join(lines), names)
    match: Match = names["match"]
    return match


def _python(leaf: Leaf, pattern: str = "") -> str:
    field, operator, value = leaf
    if operator == "exists":
        return f"{field!r} in m"
    if operator == "between":
        return f"{value[0]!r} <= m[{field!r}] <= {value[1]!r}"
    return {
        "eq": f"m[{field!r}] == {value!r}",
        "starts_with": f"m[{field!r}].startswith({value!r})",
        "contains": f"{value!r} in m[{field!r}]",
        "ends_with": f"m[{field!r}].endswith({value!r})",
        "matches": f"{pattern}(m[{field!r}])",
    }[operator]


# -- libraries: a compiled expression a rule ---------------------------------------------------------------------------


def with_rule_engine(rules: Sequence[Rule]) -> Match:
    """rule-engine: a `Rule` each."""
    context = rule_engine.Context(default_value=None)

    def text(leaf: Leaf) -> str:
        field, operator, value = leaf
        return {
            "eq": lambda: f'{field} == "{value}"',
            "starts_with": lambda: f'{field} =~ "{value}.*"',
            "between": lambda: f"{field} >= {value[0]} and {field} <= {value[1]}",
            "exists": lambda: f"{field} != null",
        }[operator]()

    compiled = [
        (rule.id, rule_engine.Rule(" and ".join(text(leaf) for leaf in rule.leaves), context=context)) for rule in rules
    ]
    return lambda message: [number for number, rule in compiled if rule.matches(message)]


def with_jmespath(rules: Sequence[Rule]) -> Match:
    """jmespath: a compiled expression each."""

    def text(leaf: Leaf) -> str:
        field, operator, value = leaf
        return {
            "eq": lambda: f"{field} == '{value}'",
            "starts_with": lambda: f"starts_with({field}, '{value}')",
            "between": lambda: f"{field} >= `{value[0]}` && {field} <= `{value[1]}`",
            "exists": lambda: f"{field} != null",
        }[operator]()

    compiled = [(rule.id, jmespath.compile(" && ".join(text(leaf) for leaf in rule.leaves))) for rule in rules]
    return lambda message: [number for number, expression in compiled if expression.search(message) is True]


def with_zen(rules: Sequence[Rule]) -> Match:
    """zen-engine: a compiled expression each, evaluated in Rust."""

    def text(leaf: Leaf) -> str:
        field, operator, value = leaf
        return {
            "eq": lambda: f'{field} == "{value}"',
            "starts_with": lambda: f'startsWith({field}, "{value}")',
            "between": lambda: f"{field} >= {value[0]} and {field} <= {value[1]}",
            "exists": lambda: f"{field} != null",
        }[operator]()

    compiled = [(rule.id, zen.compile_expression(" and ".join(text(leaf) for leaf in rule.leaves))) for rule in rules]
    return lambda message: [number for number, expression in compiled if expression.evaluate(message)]
