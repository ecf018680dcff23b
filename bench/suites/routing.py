"""Which rules of a table hold for a message: bytes in, ids out, beside what Python offers for it.

Messages come as msgpack and count as validated; baselines decode them with the fastest codec first, once a message.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ormsgpack

from bench.baselines import rule_engines
from bench.child import run_program
from bench.model import OURS, Case, Metric, Scale, Subject, Target, at_most, better_than, within
from bench.timing import NS, calls
from bench.workloads.rules import (
    Rule,
    Workload,
    city_lots,
    condition_of,
    elements,
    equal_one,
    mixed,
    overlapping,
    patterns,
)
from factflow_engine.conditions import RouteTable, compile_condition
from factflow_engine.frames import validate

SIZES = (10, 100, 1_000, 10_000)
"""Of the tables; a tiny run builds each with a hundredth of its rules, and calls it by its name here."""
GROWTH = Metric(name="growth", unit="x from 10 to 10,000 rules")
MESSAGE_US = {size: Metric(name=f"{size:,} rules", unit="us a message") for size in SIZES}
LARGE = (
    Metric(name="message", unit="us"),
    Metric(name="price", unit="x of a table of 10"),
    Metric(name="build", unit="s per 100,000"),
    Metric(name="bytes", unit="a rule"),
)
BUILD = Metric(name="build", unit="s")

Matcher = Callable[[bytes], Sequence[Any]]
Make = Callable[[Sequence[Rule]], Matcher]


def cases(scale: Scale) -> list[Case]:
    """Four tables at several sizes; what compiling, validating and a single condition cost."""
    return [
        _table(
            "eq1",
            "A table that asks one field for equality: what does a message cost?",
            equal_one,
            scale,
            {"hand index": _decoding(lambda rules: rule_engines.hand_lookup(rules, "tenant"))},
            targets=(at_most("growth", 2, "x"),),
        ),
        _table(
            "mixed",
            "Equalities, prefixes, ranges and presence on six fields, two or three a rule: what does a message cost?",
            mixed,
            scale,
            {
                "hand index": _decoding(rule_engines.hand_index),
                "generated scan": _decoding(rule_engines.generated_scan),
                "rule-engine": _decoding(rule_engines.with_rule_engine),
                "zen-engine": _decoding(rule_engines.with_zen),
                "jmespath": _decoding(rule_engines.with_jmespath),
            },
            targets=(
                at_most("growth", 2, "x"),
                at_most("10,000 rules", 2, "us"),
                better_than("10,000 rules", "hand index", 8),
                better_than("10,000 rules", "generated scan", 500),
                better_than("10,000 rules", ["rule-engine", "zen-engine", "jmespath"], 10_000),
            ),
        ),
        _table(
            "city lots",
            "One equality deep in a record of a land register, 530 bytes of mostly coordinates: what does it cost?",
            city_lots,
            scale,
            {"hand index": _decoding(lambda rules: rule_engines.hand_lookup(rules, "properties", "MAPBLKLOT"))},
            targets=(at_most("growth", 2, "x"), at_most("10,000 rules", 2, "us")),
        ),
        _table(
            "patterns",
            "contains, ends_with and matches on one field, a third of the rules each: what does a message cost?",
            patterns,
            scale,
            {"generated scan": _decoding(rule_engines.generated_scan)},
            targets=(at_most("10,000 rules", 2, "us"), better_than("1,000 rules", "generated scan", 100)),
        ),
        _table(
            "elements",
            "Equalities of elements of an array, by wildcard or any_element: what does a message of four rows cost?",
            elements,
            scale,
            {},
            targets=(at_most("growth", 3, "x"), at_most("10,000 rules", 5, "us")),
        ),
        _large(100_000, scale),
        _large(1_000_000, scale),
        _build("build, mixed", mixed(scale.asked(10_000, tiny=100), 1), 0.1),
        _build("build, overlapping", overlapping(scale.asked(100_000, tiny=100)), 1.5),
        _build("build, patterns", patterns(scale.asked(10_000, tiny=100), 1), 1.0),
        _validating(scale),
        _single(scale),
    ]


def _ours(rules: Sequence[Rule]) -> Matcher:
    return RouteTable([(rule.id, condition_of(rule)) for rule in rules]).match


def _decoding(make: Callable[[Sequence[Rule]], rule_engines.Match]) -> Make:
    def made(rules: Sequence[Rule]) -> Matcher:
        match, decode = make(rules), ormsgpack.unpackb
        return lambda data: match(decode(data))

    return made


# -- a table -----------------------------------------------------------------------------------------------------------


def _table(
    name: str,
    answers: str,
    workload: Callable[[int], Workload],
    scale: Scale,
    baselines: Mapping[str, Make],
    targets: Sequence[Target],
) -> Case:
    workloads = {size: workload(scale.asked(size, tiny=max(10, size // 100))) for size in SIZES}
    packed = {size: [ormsgpack.packb(message) for message in found.messages] for size, found in workloads.items()}
    makers: dict[str, Make] = {OURS: _ours, **baselines}
    matchers = {
        subject: {size: make(found.rules) for size, found in workloads.items()} for subject, make in makers.items()
    }
    for subject, by_size in matchers.items():
        for size, match in by_size.items():
            for data in packed[size][:5]:
                compare(name, subject, size, match(data), matchers[OURS][size](data))
    return Case(
        name=name,
        answers=answers,
        metrics=(*(MESSAGE_US[size] for size in reversed(SIZES)), GROWTH),
        subjects=tuple(
            Subject(name=subject, measure=_matching(by_size, packed, budget_us=scale.of(40_000)))
            for subject, by_size in matchers.items()
        ),
        targets=targets,
    )


def compare(name: str, subject: str, size: int, theirs: Sequence[Any], ours: Sequence[Any]) -> None:
    if sorted(theirs) != sorted(ours):
        raise RuntimeError(f"{name}, {size} rules: {subject} finds {theirs}, ours {ours}")


def _matching(
    matchers: Mapping[int, Matcher], packed: Mapping[int, Sequence[bytes]], *, budget_us: int
) -> Callable[[], Mapping[str, float]]:
    """A round: at each size as many messages as fit into a budget, at least two."""
    turns: dict[int, int] = {}

    def measure() -> Mapping[str, float]:
        figures = {}
        for size, match in matchers.items():
            messages = packed[size]
            if size not in turns:
                once = _cost(match, messages[:2])
                turns[size] = max(2, min(20_000, round(budget_us / once)))
            figures[MESSAGE_US[size].name] = _cost(match, _repeated(messages, turns[size]))
        figures["growth"] = figures[MESSAGE_US[SIZES[-1]].name] / figures[MESSAGE_US[SIZES[0]].name]
        return figures

    return measure


def _repeated(messages: Sequence[bytes], count: int) -> Sequence[bytes]:
    return (list(messages) * (count // len(messages) + 1))[:count]


def _cost(match: Matcher, messages: Sequence[bytes]) -> float:
    started = time.thread_time_ns()
    for data in messages:
        match(data)
    return max(1, time.thread_time_ns() - started) / len(messages) / 1e3


def _large(size: int, scale: Scale) -> Case:
    count, messages = scale.asked(size, tiny=size // 100), scale.asked(5_000, tiny=50)
    return Case(
        name=f"mixed, {size:,} rules",
        answers="The same rules in a table far larger, in a process of its own: what do a message, building and a rule cost?",
        metrics=LARGE,
        subjects=(
            Subject(
                name=OURS,
                measure=lambda: run_program("large_table", str(count), str(messages)),
                note="a message matches 0.25 rules at every size; the price is beside a table of 10",
            ),
        ),
        targets=(at_most("price", 2.5, "x"), at_most("build", 0.4, "s per 100,000")),
        rounds=5,
    )


# -- around it ---------------------------------------------------------------------------------------------------------


def _build(name: str, workload: Workload, limit: float) -> Case:
    table = [(rule.id, condition_of(rule)) for rule in workload.rules]

    def measure() -> Mapping[str, float]:
        started = time.thread_time_ns()
        RouteTable(table)
        return {"build": (time.thread_time_ns() - started) / 1e9}

    return Case(
        name=name,
        answers=f"How long does it take to compile {len(table):,} rules?",
        metrics=(BUILD,),
        subjects=(Subject(name=OURS, measure=measure),),
        targets=(at_most("build", limit, "s"),),
    )


def _validating(scale: Scale) -> Case:
    packed = [ormsgpack.packb(message) for message in (*mixed(10, 200).messages, *city_lots(10, 200).messages)]
    size = sum(map(len, packed))
    repeats = scale.of(20)

    def measure() -> Mapping[str, float]:
        started = time.thread_time_ns()
        for _ in range(repeats):
            for data in packed:
                validate(data)
        return {"validate": (time.thread_time_ns() - started) / (size * repeats)}

    return Case(
        name="validate",
        answers="What does it cost to check a message where it comes in, a byte? (messages of 300 to 600 bytes)",
        metrics=(Metric(name="validate", unit="ns a byte"),),
        subjects=(Subject(name=OURS, measure=measure),),
        targets=(at_most("validate", 1, "ns a byte"),),
        rounds=45,
    )


def _single(scale: Scale) -> Case:
    data = ormsgpack.packb(mixed(10, 1).messages[0])
    condition = compile_condition({"field": "currency", "operator": "eq", "value": "EUR"})
    decode = ormsgpack.unpackb

    def holds(message: Mapping[str, Any]) -> bool:
        return bool(message.get("currency") == "EUR")

    turns = scale.of(20_000)
    return Case(
        name="one condition",
        answers="One equality on the bytes: is it ever dearer than decoding and asking in Python?",
        metrics=(NS,),
        subjects=(
            Subject(name=OURS, measure=calls(lambda: condition.matches(data), turns)),
            Subject(name="decode + function", measure=calls(lambda: holds(decode(data)), turns)),
        ),
        targets=(within("ns", ["decode + function"], 1),),
        rounds=45,
    )
