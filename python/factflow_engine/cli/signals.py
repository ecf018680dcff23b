"""SIGINT and SIGTERM as an async iterator, and an exit for when nothing reads it any more.

Kept separate from the session because only this module touches the process's signal handlers.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import trio

from factflow_engine.cli.forking import own_signals_in_children

_WATCHED: Final = (signal.SIGINT, signal.SIGTERM)
_PATIENCE: Final = 2
"""Signals that are delivered to the iterator; the next one ends the process whatever it is doing."""

_SHOW_CURSOR: Final = b"\x1b[?25h\n"


@contextmanager
def interruptions() -> Iterator[AsyncGenerator[int]]:
    """Receive SIGINT and SIGTERM as an async iterator of signal numbers, in the main thread, inside `trio.run`.

    The first two are delivered. A third ends the process as the signal does by default, without clean-up: an adapter
    that blocks the event loop also blocks the reader of the iterator, and the operator must not need `kill -9`.

    A child process that is forked meanwhile has Python's default handlers, so that signals end it.
    """
    ignored = frozenset(number for number in _WATCHED if signal.getsignal(number) is signal.SIG_IGN)
    with trio.open_signal_receiver(*_WATCHED) as received:
        deliver = {number: signal.getsignal(number) for number in _WATCHED}
        arrived: Counter[int] = Counter()
        count = 0

        def hand_over(number: int, frame: FrameType | None) -> None:
            nonlocal count
            count += 1
            if count > _PATIENCE:
                _die_of(number)
            arrived[number] += 1
            handler = deliver[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)

        for number in _WATCHED:
            signal.signal(number, hand_over)
        # Leaving the receiver restores the previous handlers, these included.
        with own_signals_in_children(_WATCHED, ignored=ignored):
            yield _each(received, arrived)


async def _each(received: AsyncIterator[int], arrived: Counter[int]) -> AsyncGenerator[int]:
    """Yield each signal as often as it arrived: trio merges equal signals that it has not delivered yet."""
    async for number in received:
        for _ in range(arrived.pop(number, 0)):
            yield number


def _die_of(number: int) -> None:
    """End the process by this signal, so that the shell sees the cause; restore a live view's cursor first."""
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), _SHOW_CURSOR)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
