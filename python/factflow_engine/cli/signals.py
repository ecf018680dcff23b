"""Ctrl-C and SIGTERM as something to read, with a way out when nothing reads them any more.

Kept separate from the session because this is the one place that touches the process's signal handlers.
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
"""Signals that are politely handed over; the next one ends the process whatever it is doing."""

_SHOW_CURSOR: Final = b"\x1b[?25h\n"


@contextmanager
def interruptions() -> Iterator[AsyncGenerator[int]]:
    """Receive SIGINT and SIGTERM as an async iterator of signal numbers, in the main thread, inside `trio.run`.

    The first two are delivered. A third ends the process as the signal does by default, without clean-up: an adapter
    that blocks the event loop also blocks whoever reads the iterator, and the operator must not need `kill -9`.

    A child that is forked meanwhile has Python's default handlers: it ends when it is told to.
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
        # Leaving the receiver puts the handlers of before it back, these included.
        with own_signals_in_children(_WATCHED, ignored=ignored):
            yield _each(received, arrived)


async def _each(received: AsyncIterator[int], arrived: Counter[int]) -> AsyncGenerator[int]:
    """Yield each signal as often as it arrived: trio merges equal signals that it has not handed out yet."""
    async for number in received:
        for _ in range(arrived.pop(number, 0)):
            yield number


def _die_of(number: int) -> None:
    """End the process by this very signal, so that the shell sees why; a live view's cursor is given back first."""
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), _SHOW_CURSOR)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
