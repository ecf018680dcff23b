"""Tables of rules and the messages that they are asked about: seeded, and of the same selectivity at every size.

A rule is plain data here (`Rule`), so that each contender can be given it in its own language.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Leaf = tuple[str, str, Any]
"""Field, operator, value; of `between` the value is the pair of bounds, of `exists` it is True, of `any_element` the leaves
that one element must satisfy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """All leaves must hold.

    Attributes:
        id: Its place in the table.
        leaves: One to three.
    """

    id: int
    leaves: tuple[Leaf, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A table and messages that it is asked about."""

    rules: Sequence[Rule]
    messages: Sequence[dict[str, Any]]


KINDS = tuple(f"kind-{number}" for number in range(8))


def equal_one(count: int, messages: int = 500) -> Workload:
    """`tenant eq ...` in every rule; half of the messages match one rule."""
    generator = random.Random(count)
    rules = [Rule(id=number, leaves=(("tenant", "eq", f"tenant-{number:06d}"),)) for number in range(count)]
    return Workload(rules=rules, messages=[_message(generator, count) for _ in range(messages)])


def mixed(count: int, messages: int = 500) -> Workload:
    """Equalities, prefixes, ranges and presence over six fields, two or three a rule; a message matches 0.25 rules."""
    generator = random.Random(count)
    share = max(1, count // 4)
    rules = []
    for number in range(count):
        kind, place = ("kind", "eq", KINDS[number * 5 % 8]), number // 4
        width = 1_000_000 // share
        forms: tuple[tuple[Leaf, ...], ...] = (
            (("tenant", "eq", f"tenant-{place:06d}"), kind),
            (("path", "starts_with", f"/v1/{place:06d}/"), kind),
            (("amount", "between", (place * width, place * width + width // 2)), kind, ("currency", "eq", "EUR")),
            (("customer", "eq", f"customer-{place:06d}"), ("trace", "exists", True)),
        )
        rules.append(Rule(id=number, leaves=forms[number % 4]))
    return Workload(rules=rules, messages=[_message(generator, share) for _ in range(messages)])


def patterns(count: int, messages: int = 200) -> Workload:
    """`contains`, `ends_with` and `matches` on one field, a third each; every other message matches a rule."""
    generator = random.Random(count)
    rules = []
    for number in range(count):
        forms: tuple[Leaf, ...] = (
            ("url", "contains", f".site{number:05d}.example/"),
            ("url", "ends_with", f"/page-{number:05d}.html"),
            ("url", "matches", rf"^https://[a-z]+\.shop{number:05d}\.example/.*\.html$"),
        )
        rules.append(Rule(id=number, leaves=(forms[number % 3],)))
    found = []
    for _ in range(messages):
        message = _message(generator, 1_000)
        number = generator.randrange(2 * count)
        host = f"{'site' if number % 3 == 0 else 'shop'}{number:05d}.example"
        message["url"] = f"https://www.{host}/some/where/else/page-{number if number % 3 == 1 else 99_999_999:05d}.html"
        found.append(message)
    return Workload(rules=rules, messages=found)


_STREETS = ("FULTON", "MASON", "MARKET", "VALENCIA", "GEARY", "CLEMENT", "ACTON", "BRYANT", "DRUMM", "RHODE ISLAND")


def city_lots(count: int, messages: int = 500) -> Workload:
    """Rules on the lot number of records of a city's land register: polygons of coordinates, some 530 bytes each."""
    generator = random.Random(count)
    lots = [f"{number:07d}" for number in range(2 * count)]
    rules = [Rule(id=number, leaves=(("properties.MAPBLKLOT", "eq", lots[2 * number]),)) for number in range(count)]
    return Workload(rules=rules, messages=[_lot(generator, generator.choice(lots)) for _ in range(messages)])


def _lot(generator: random.Random, lot: str) -> dict[str, Any]:
    street = str(generator.randrange(100, 4_000))
    points = [
        {"x": -122.5 + generator.random() / 10, "y": 37.7 + generator.random() / 10, "z": 0.0}
        for _ in range(generator.randrange(4, 9))
    ]
    return {
        "type": "Feature",
        "properties": {
            "MAPBLKLOT": lot,
            "BLKLOT": lot,
            "BLOCK_NUM": lot[:4],
            "LOT_NUM": lot[4:],
            "FROM_ST": street,
            "TO_ST": street,
            "STREET": generator.choice(_STREETS),
            "ST_TYPE": generator.choice(("ST", "ST", "AVE", "BLVD")),
            "ODD_EVEN": "EO"[int(street) % 2],
        },
        "geometry": {"type": "Polygon", "coordinates": [points], "firstCoordinates": points[0]},
    }


def _message(generator: random.Random, domain: int) -> dict[str, Any]:
    """Fifteen fields, about 370 bytes; half of the tenants, paths, amounts and customers are in a table of that domain."""
    message: dict[str, Any] = {
        "id": f"{generator.getrandbits(128):032x}",
        "kind": generator.choice(KINDS),
        "tenant": f"tenant-{generator.randrange(2 * domain):06d}",
        "path": f"/v1/{generator.randrange(2 * domain):06d}/items/{generator.randrange(10_000)}",
        "customer": f"customer-{generator.randrange(2 * domain):06d}",
        "amount": generator.randrange(1_000_000),
        "currency": "EUR" if generator.random() < 0.9 else "USD",
        "region": generator.choice(("eu-west-1", "eu-north-1", "us-east-1")),
        "version": 3,
        "retries": 0,
        "score": generator.random(),
        "active": True,
        "source": "https://www.example.org/orders/in",
        "note": "left at the door, as agreed with the neighbour on the second floor",
    }
    if generator.random() < 0.125:
        message["trace"] = f"{generator.getrandbits(64):016x}"
    return message


def elements(count: int, messages: int = 300) -> Workload:
    """`rows[*].key eq` and `any_element` over `rows`, half of the rules each; a message has four rows."""
    generator = random.Random(count)
    rules = []
    for number in range(count):
        key = f"key-{number:06d}"
        forms: tuple[Leaf, ...] = (
            ("rows[*].key", "eq", key),
            ("rows", "any_element", (("key", "eq", key), ("state", "eq", "open"))),
        )
        rules.append(Rule(id=number, leaves=(forms[number % 2],)))
    found = []
    for _ in range(messages):
        message = _message(generator, 1_000)
        message["rows"] = [
            {"key": f"key-{generator.randrange(2 * count):06d}", "state": generator.choice(("open", "shut")), "n": row}
            for row in range(4)
        ]
        found.append(message)
    return Workload(rules=rules, messages=found)


def overlapping(count: int) -> Workload:
    """`gt` and wide `between`: nearly every interval overlaps nearly every other one. For building only."""
    forms = (
        lambda number: ("amount", "gt", number),
        lambda number: ("amount", "between", (number, number + count)),
    )
    return Workload(
        rules=[Rule(id=number, leaves=(forms[number % 2](number),)) for number in range(count)], messages=[]
    )


def condition_of(rule: Rule) -> dict[str, Any]:
    """A rule as the engine's configuration has it."""
    return _all_of(rule.leaves)


def _all_of(leaves: Sequence[Leaf]) -> dict[str, Any]:
    found = [_leaf(*leaf) for leaf in leaves]
    return found[0] if len(found) == 1 else {"all_of": found}


def _leaf(field: str, operator: str, value: Any) -> dict[str, Any]:
    if operator == "any_element":
        return {"any_element": {"field": field, "condition": _all_of(value)}}
    return {"field": field, "operator": operator, "value": list(value) if operator == "between" else value}
