"""Signals as something to read."""

import signal
from contextlib import aclosing

import pytest
import trio

from factflow_engine.cli.signals import interruptions

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
async def test_two_signals_are_two_however_close_they_come(first: signal.Signals, second: signal.Signals) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with interruptions() as received:
        signal.raise_signal(first)
        signal.raise_signal(second)
        with trio.fail_after(10):
            async with aclosing(received) as signals:
                assert [await anext(signals), await anext(signals)] == [first, second]
    assert [signal.getsignal(number) for number in SIGNALS] == before
