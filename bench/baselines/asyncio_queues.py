"""Stages on asyncio queues, one task each: what the same program is outside trio."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from bench.timing import Stopwatch

CAPACITY = 100
_END = object()


async def _stage(
    inbound: asyncio.Queue[Any], outbox: asyncio.Queue[Any] | None, process: Callable[[Any], Awaitable[Any]]
) -> None:
    while (message := await inbound.get()) is not _END:
        result = await process(message)
        if outbox is not None and result is not None:
            await outbox.put(result)
    if outbox is not None:
        await outbox.put(_END)


async def _source(outbox: asyncio.Queue[Any], messages: Sequence[Any]) -> None:
    for message in messages:
        await outbox.put(message)
    await outbox.put(_END)


def carrying(
    process: Callable[[Any], Awaitable[Any]], messages: Sequence[Any], *, hops: int
) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: messages through stages in a row; cost of one hop."""

    async def run() -> Mapping[str, float]:
        ended = 0

        async def counting(message: Any) -> None:
            nonlocal ended
            await process(message)
            ended += 1

        with Stopwatch() as watch:
            queues: list[asyncio.Queue[Any]] = [asyncio.Queue(CAPACITY) for _ in range(hops)]
            async with asyncio.TaskGroup() as group:
                for inbound, outbox in itertools.pairwise(queues):
                    group.create_task(_stage(inbound, outbox, process))
                group.create_task(_stage(queues[-1], None, counting))
                group.create_task(_source(queues[0], messages))
        if ended != len(messages):
            raise RuntimeError(f"of {len(messages)} messages {ended} came through")
        return watch.per(ended * hops)

    return lambda: asyncio.run(run())


def routing(
    process: Callable[[Any], Awaitable[Any]],
    choose: Callable[[Any], str],
    names: Sequence[str],
    messages: Sequence[Any],
) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: a first stage chooses one of several second ones; cost of one hop (each message makes two)."""

    async def run() -> Mapping[str, float]:
        ended = 0

        async def counting(message: Any) -> None:
            nonlocal ended
            await process(message)
            ended += 1

        async def dispatch(inbound: asyncio.Queue[Any], outboxes: Mapping[str, asyncio.Queue[Any]]) -> None:
            while (message := await inbound.get()) is not _END:
                result = await process(message)
                await outboxes[choose(result)].put(result)
            for outbox in outboxes.values():
                await outbox.put(_END)

        with Stopwatch() as watch:
            first: asyncio.Queue[Any] = asyncio.Queue(CAPACITY)
            outboxes: dict[str, asyncio.Queue[Any]] = {name: asyncio.Queue(CAPACITY) for name in names}
            async with asyncio.TaskGroup() as group:
                for outbox in outboxes.values():
                    group.create_task(_stage(outbox, None, counting))
                group.create_task(dispatch(first, outboxes))
                group.create_task(_source(first, messages))
        if ended != len(messages):
            raise RuntimeError(f"of {len(messages)} messages {ended} came through")
        return watch.per(ended * 2)

    return lambda: asyncio.run(run())
