"""FastStream in memory: subscribers that publish to the next, under its test broker, the one in-memory broker it has."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from faststream.nats import NatsBroker, TestNatsBroker

from bench.timing import Stopwatch


def carrying(messages: Sequence[Any]) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: messages through three subscribers in a row; cost of one hop."""
    ended = 0
    broker = NatsBroker()

    @broker.subscriber("one")
    @broker.publisher("two")
    async def first(message: dict[str, Any]) -> dict[str, Any]:
        return message

    @broker.subscriber("two")
    @broker.publisher("three")
    async def second(message: dict[str, Any]) -> dict[str, Any]:
        return message

    @broker.subscriber("three")
    async def third(message: dict[str, Any]) -> None:
        nonlocal ended
        ended += 1

    async def run() -> Mapping[str, float]:
        nonlocal ended
        ended = 0
        async with TestNatsBroker(broker):
            with Stopwatch() as watch:
                for message in messages:
                    await broker.publish(message, "one")
        if ended != len(messages):
            raise RuntimeError(f"of {len(messages)} messages {ended} came through")
        return watch.per(ended * 3)

    return lambda: asyncio.run(run())
