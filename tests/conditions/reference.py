"""A condition's meaning, written down a second time: slow, obvious, over decoded values, from the definitions alone.

It knows nothing of bytes and shares no code with the engine, so that what the two agree on is what was meant.
"""

import base64
import ipaddress
import math
import re
from datetime import datetime

from factflow_protocols import Ext, Timestamp

EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
EACH = object()


def holds(condition, message):
    """True if a condition that compiles holds for a message."""
    ((form, inner),) = condition.items() if len(condition) == 1 else [(None, None)]
    if form == "all_of":
        return all(holds(part, message) for part in inner)
    if form == "any_of":
        return any(holds(part, message) for part in inner)
    if form == "not":
        return not holds(inner, message)
    if form == "any_element":
        arrays = [place for place in places(inner["field"], message) if isinstance(place, list)]
        return any(holds(inner["condition"], element) for array in arrays for element in array)
    return leaf(condition["operator"], condition.get("value", True), places(condition["field"], message))


def leaf(operator, value, found):
    """One question about the places that a path leads to: none, one, or with wildcards many."""
    if operator == "neq":
        return not leaf("eq", value, found)
    if operator == "not_in":
        return not leaf("in", value, found)
    if operator in {"exists", "is_null"} and value is False:
        return not leaf(operator, True, found)
    return any(OPERATORS[operator](place, value) for place in found)


# Paths


def places(field, message):
    """Every place that a path leads to."""
    found = [message]
    for segment in segments(field):
        found = [place for value in found for place in step(segment, value)]
    return found


def step(segment, value):
    kind, name = segment
    if kind == "each":
        return value if isinstance(value, list) else []
    if isinstance(value, dict) and kind in {"key", "either"}:
        return [value[name]] if name in value else []
    if type(value) is list and kind in {"index", "either"}:
        index = int(name)
        return [value[index]] if -len(value) <= index < len(value) else []
    return []


def segments(field):
    """The path as a list of ("key" | "index" | "each" | "either", name)."""
    if isinstance(field, list):
        return [("key" if isinstance(part, str) else "index", part) for part in field]
    if field.startswith("/"):
        parts = [part.replace("~1", "/").replace("~0", "~") for part in field[1:].split("/")]
        return [("either" if re.fullmatch("0|[1-9][0-9]*", part) else "key", part) for part in parts]
    if field == "@":
        return []
    if field.startswith(("@.", "@[")):
        field = field[1:].removeprefix(".")
    parsed = []
    for match in re.finditer(r'\[([^]]*)\]|\.?(?:"((?:[^"\\]|\\.)*)"|((?:[^.\[\]"\\]|\\.)+))', field):
        brackets, quoted, bare = match.groups()
        if brackets == "*":
            parsed.append(("each", None))
        elif brackets is not None:
            parsed.append(("index", int(brackets)))
        else:
            parsed.append(("key", re.sub(r"\\(.)", r"\1", bare if quoted is None else quoted)))
    return parsed


# Values


def kind(value):
    """The name of a value's type, as type_is has it."""
    for python, name in (
        (bool, "bool"),
        (int, "int"),
        (float, "float"),
        (str, "str"),
        (bytes, "bin"),
        (Timestamp, "timestamp"),
        (Ext, "ext"),
        (list, "array"),
        (dict, "map"),
    ):
        if isinstance(value, python):
            return name
    assert value is None
    return "null"


def literal(value):
    """What a literal of a condition stands for."""
    if isinstance(value, list):
        return [literal(item) for item in value]
    if isinstance(value, dict):
        if set(value) == {"$bin"}:
            return base64.b64decode(value["$bin"])
        if set(value) == {"$timestamp"}:
            return instant(value["$timestamp"])
        return {key: literal(item) for key, item in value.items()}
    return value


def instant(text):
    date, fraction, offset = re.fullmatch(r"([^.]+?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text).groups()
    since = datetime.fromisoformat(date + offset) - EPOCH
    return Timestamp(since.days * 86_400 + since.seconds, int((fraction or "").ljust(9, "0")))


def is_number(value):
    return kind(value) in {"int", "float"}


def equal(one, two):
    if is_number(one) and is_number(two):
        return one == two  # Python compares int and float exactly, and NaN with nothing
    if kind(one) != kind(two):
        return False
    if isinstance(one, list):
        return len(one) == len(two) and all(equal(a, b) for a, b in zip(one, two, strict=True))
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    return one == two


def order(one, two):
    """-1, 0 or 1; None if the two have no order."""
    if is_number(one) and is_number(two):
        if any(isinstance(number, float) and math.isnan(number) for number in (one, two)):
            return None
    elif kind(one) != kind(two) or kind(one) not in {"str", "bin", "timestamp"}:
        return None
    if isinstance(one, str):
        one, two = one.encode(), two.encode()
    return (one > two) - (one < two)


def contains(value, part):
    if isinstance(value, str):
        return isinstance(part, str) and part in value
    if isinstance(value, bytes):
        return isinstance(part, bytes) and part in value
    return kind(value) == "array" and any(equal(element, part) for element in value)


def length(value, wanted):
    if kind(value) not in {"str", "bin", "array", "map"}:
        return False
    compared = {"eq": int.__eq__, "gt": int.__gt__, "gte": int.__ge__, "lt": int.__lt__, "lte": int.__le__}
    bounds = wanted if isinstance(wanted, dict) else {"eq": wanted}
    return all(compared[name](len(value), bound) for name, bound in bounds.items())


def cidr(value, networks):
    if not isinstance(value, str) or "%" in value:
        return False
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    return any(address in ipaddress.ip_network(network) for network in listed(networks))


def listed(value):
    return value if isinstance(value, list) else [value]


def matches(value, pattern):
    # Only `$` differs for the patterns that the tests draw: Python's also matches before a final newline.
    return isinstance(value, str) and re.search(pattern.replace("$", r"\Z"), value) is not None


def between(value, bounds):
    lowest, highest = literal(bounds)
    return order(value, lowest) in {0, 1} and order(value, highest) in {-1, 0}


OPERATORS = {
    "eq": lambda value, wanted: equal(value, literal(wanted)),
    "gt": lambda value, wanted: order(value, literal(wanted)) == 1,
    "gte": lambda value, wanted: order(value, literal(wanted)) in {0, 1},
    "lt": lambda value, wanted: order(value, literal(wanted)) == -1,
    "lte": lambda value, wanted: order(value, literal(wanted)) in {-1, 0},
    "between": between,
    "in": lambda value, wanted: any(equal(value, item) for item in literal(wanted)),
    "contains": lambda value, wanted: contains(value, literal(wanted)),
    "starts_with": lambda value, wanted: isinstance(value, str) and value.startswith(tuple(listed(wanted))),
    "ends_with": lambda value, wanted: isinstance(value, str) and value.endswith(tuple(listed(wanted))),
    "matches": matches,
    "exists": lambda value, wanted: True,
    "is_null": lambda value, wanted: value is None,
    "type_is": lambda value, wanted: bool({kind(value), "number" if is_number(value) else ""} & set(listed(wanted))),
    "length": length,
    "cidr": cidr,
}
