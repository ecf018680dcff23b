"""The other end of `process`: opens the store, stores what comes over the socket, and ends with it.

Kept separate from `process` because it is a program of its own: nothing here runs in the program that records.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio

from factflow_engine.error_texts import bounded, describe
from factflow_engine.frames import unpack
from factflow_engine.lineage.process import LENGTH, MOST_ANSWER
from factflow_engine.lineage.providers import open_lineage
from factflow_engine.lineage.recorder import rows_of
from factflow_protocols import LineageSink, RetainingLineage

_LOOK_SECONDS = 1.0
_NICENESS = 10
"""Messages go before their lineage where processors are few."""


def main(fd: int, parent: int) -> None:
    """Serve the process with this id over a socket, until it closes the socket or dies."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the program that sent the rows decides when this ends
    os.set_inheritable(fd, False)
    os.nice(_NICENESS)
    trio.run(_serve, fd, parent)


async def _serve(fd: int, parent: int) -> None:
    stream = trio.SocketStream(trio.socket.fromfd(fd, trio.socket.AF_UNIX, trio.socket.SOCK_STREAM))
    os.close(fd)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_end_with, parent, nursery.cancel_scope)
        with suppress(trio.BrokenResourceError):  # nobody is left to be told
            await _serve_stream(stream)
        nursery.cancel_scope.cancel()


async def _serve_stream(stream: trio.SocketStream) -> None:
    sink: LineageSink | None = None
    try:
        while (request := await _receive(stream)) is not None:
            answer = ""
            try:
                value: Any = unpack(request)
                if sink is None:
                    sink = open_lineage(value["url"], directory=Path(value["directory"]))
                elif isinstance(value, dict):
                    if isinstance(sink, RetainingLineage):
                        sink.retain(days=value["days"], total_bytes=value["total_bytes"])
                else:
                    await sink.write(*await rows_of(value))
            except Exception as error:  # noqa: BLE001 - told to the program that sent the rows
                answer = bounded(describe(error), MOST_ANSWER // 8)
            data = answer.encode(errors="replace")
            await stream.send_all(LENGTH.pack(len(data)) + data)
    finally:
        if sink is not None:
            with trio.CancelScope(shield=True):
                await sink.close()


async def _receive(stream: trio.SocketStream) -> bytes | None:
    """Return the next request; None if there will be none."""
    head = await _read(stream, LENGTH.size)
    return None if head is None else await _read(stream, LENGTH.unpack(head)[0])


async def _read(stream: trio.SocketStream, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = await stream.receive_some(min(size - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)


async def _end_with(parent: int, scope: trio.CancelScope) -> None:
    """End when the program has died although its socket is open: a child of its own may hold that."""
    while os.getppid() == parent:  # noqa: ASYNC110 - the system tells nobody
        await trio.sleep(_LOOK_SECONDS)
    scope.cancel()
