"""A table of many mixed rules beside one of ten; says what a message, the building and a rule cost."""

import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import ormsgpack

from bench.programs.memory import resident
from bench.workloads.rules import condition_of, mixed
from factflow_engine.conditions import RouteTable

ROUNDS = 5


def cost(match: Callable[[bytes], Sequence[Any]], messages: Sequence[bytes]) -> float:
    """Return the microseconds of CPU that a message takes."""
    started = time.thread_time_ns()
    for data in messages:
        match(data)
    return (time.thread_time_ns() - started) / len(messages) / 1e3


def main(count: int, messages: int) -> None:
    few, many = mixed(10, messages), mixed(count, messages)
    small = RouteTable([(rule.id, condition_of(rule)) for rule in few.rules])
    conditions = [(rule.id, condition_of(rule)) for rule in many.rules]
    gc.collect()
    before, started = resident(), time.thread_time_ns()
    table = RouteTable(conditions)
    built = (time.thread_time_ns() - started) / 1e9
    gc.collect()
    held = resident() - before
    small_messages = [ormsgpack.packb(message) for message in few.messages]
    messages_of_many = [ormsgpack.packb(message) for message in many.messages]
    hits = sum(len(table.match(data)) for data in messages_of_many) / len(messages_of_many)
    if not 0.1 < hits < 0.5 and messages >= 200:
        raise RuntimeError(f"a message matches {hits} rules of {count}, it should match about 0.25")
    rounds = [(cost(small.match, small_messages), cost(table.match, messages_of_many)) for _ in range(ROUNDS)]
    ten, large = (sorted(costs)[ROUNDS // 2] for costs in zip(*rounds, strict=True))
    print(
        json.dumps(
            {
                "message": large,
                "price": large / ten,
                "build": built / count * 100_000,
                "bytes": held * 1024 * 1024 / count,
            }
        )
    )


main(int(sys.argv[1]), int(sys.argv[2]))
