"""Stages on trio memory channels, one task each: what a trio program is, without an engine.

Twice: as the documentation teaches it, and with the fast path that somebody writes who has measured it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import trio

from bench.timing import Stopwatch

Process = Callable[[Any], Awaitable[Any]]
Stage = Callable[[trio.MemoryReceiveChannel[Any], "trio.MemorySendChannel[Any] | None", Process], Awaitable[None]]

CAPACITY = 100


async def plain_stage(
    receive: trio.MemoryReceiveChannel[Any], send: trio.MemorySendChannel[Any] | None, process: Process
) -> None:
    """As the documentation has it."""
    async with receive:
        async for message in receive:
            result = await process(message)
            if send is not None and result is not None:
                await send.send(result)
    if send is not None:
        await send.aclose()


async def nowait_stage(
    receive: trio.MemoryReceiveChannel[Any], send: trio.MemorySendChannel[Any] | None, process: Process
) -> None:
    """Goes to the scheduler only when the channel is empty or full. Gives other tasks no turn in between."""
    async with receive:
        while True:
            try:
                message = receive.receive_nowait()
            except trio.WouldBlock:
                try:
                    message = await receive.receive()
                except trio.EndOfChannel:
                    break
            except trio.EndOfChannel:
                break
            result = await process(message)
            if send is not None and result is not None:
                try:
                    send.send_nowait(result)
                except trio.WouldBlock:
                    await send.send(result)
    if send is not None:
        await send.aclose()


async def plain_source(send: trio.MemorySendChannel[Any], messages: Sequence[Any]) -> None:
    async with send:
        for message in messages:
            await send.send(message)


async def nowait_source(send: trio.MemorySendChannel[Any], messages: Sequence[Any]) -> None:
    async with send:
        for message in messages:
            try:
                send.send_nowait(message)
            except trio.WouldBlock:
                await send.send(message)


def carrying(process: Process, messages: Sequence[Any], *, hops: int, fast: bool) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: messages through stages in a row; cost of one hop."""
    stage, source = (nowait_stage, nowait_source) if fast else (plain_stage, plain_source)

    async def run() -> Mapping[str, float]:
        ended = 0

        async def counting(message: Any) -> None:
            nonlocal ended
            await process(message)
            ended += 1

        with Stopwatch() as watch:
            async with trio.open_nursery() as nursery:
                first, receive = trio.open_memory_channel[Any](CAPACITY)
                for _ in range(hops - 1):
                    send, following = trio.open_memory_channel[Any](CAPACITY)
                    nursery.start_soon(stage, receive, send, process)
                    receive = following
                nursery.start_soon(stage, receive, None, counting)
                nursery.start_soon(source, first, messages)
        if ended != len(messages):
            raise RuntimeError(f"of {len(messages)} messages {ended} came through")
        return watch.per(ended * hops)

    return lambda: trio.run(run)


def routing(
    process: Process, choose: Callable[[Any], str], names: Sequence[str], messages: Sequence[Any], *, fast: bool
) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: a first stage chooses one of several second ones; cost of one hop (each message makes two)."""
    stage, source = (nowait_stage, nowait_source) if fast else (plain_stage, plain_source)

    async def run() -> Mapping[str, float]:
        ended = 0

        async def counting(message: Any) -> None:
            nonlocal ended
            await process(message)
            ended += 1

        async def dispatch(
            receive: trio.MemoryReceiveChannel[Any], sends: Mapping[str, trio.MemorySendChannel[Any]]
        ) -> None:
            async with receive:
                async for message in receive:
                    result = await process(message)
                    await sends[choose(result)].send(result)
            for send in sends.values():
                await send.aclose()

        async def dispatch_nowait(
            receive: trio.MemoryReceiveChannel[Any], sends: Mapping[str, trio.MemorySendChannel[Any]]
        ) -> None:
            async with receive:
                while True:
                    try:
                        message = receive.receive_nowait()
                    except trio.WouldBlock:
                        try:
                            message = await receive.receive()
                        except trio.EndOfChannel:
                            break
                    except trio.EndOfChannel:
                        break
                    result = await process(message)
                    send = sends[choose(result)]
                    try:
                        send.send_nowait(result)
                    except trio.WouldBlock:
                        await send.send(result)
            for send in sends.values():
                await send.aclose()

        with Stopwatch() as watch:
            async with trio.open_nursery() as nursery:
                first, receive = trio.open_memory_channel[Any](CAPACITY)
                sends = {}
                for name in names:
                    sends[name], following = trio.open_memory_channel[Any](CAPACITY)
                    nursery.start_soon(stage, following, None, counting)
                nursery.start_soon(dispatch_nowait if fast else dispatch, receive, sends)
                nursery.start_soon(source, first, messages)
        if ended != len(messages):
            raise RuntimeError(f"of {len(messages)} messages {ended} came through")
        return watch.per(ended * 2)

    return lambda: trio.run(run)


def sending(messages: Sequence[Any], *, nowait: bool) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: send to a channel that has room for all; cost of one message."""

    async def run() -> Mapping[str, float]:
        send, receive = trio.open_memory_channel[Any](len(messages))
        with Stopwatch() as watch:
            if nowait:
                for message in messages:
                    send.send_nowait(message)
            else:
                for message in messages:
                    await send.send(message)
        send.close()
        receive.close()
        return watch.per(len(messages))

    return lambda: trio.run(run)


def bare(process: Process, message: Any, *, calls: int, tasks: int) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: tasks that call `process` and do nothing else; cost of one call.

    No pipeline at all: what trio itself takes for the calls, and so the least that anything built on it can.
    """
    each = calls // tasks

    async def call() -> None:
        for _ in range(each):
            await process(message)

    async def run() -> Mapping[str, float]:
        with Stopwatch() as watch:
            async with trio.open_nursery() as nursery:
                for _ in range(tasks):
                    nursery.start_soon(call)
        return watch.per(each * tasks)

    return lambda: trio.run(run)
