"""Signals as something to read."""

import os
import signal
from collections.abc import Callable
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


def end_of(child: Callable[[], None], tell: Callable[[int], None] = lambda _: None) -> int:
    """Fork; the status of the child, as a process's `returncode`, after it was told something."""
    pid = os.fork()
    if not pid:
        status = 70
        try:
            signal.alarm(60)  # whatever it does not notice
            child()
            status = 0
        except KeyboardInterrupt:
            status = 30
        finally:
            os._exit(status)
    tell(pid)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def wait_for_signal() -> None:
    while True:
        signal.pause()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
class TestForkedChildren:
    async def test_a_child_that_is_told_to_end_at_once_ends(self) -> None:
        # Once for a signal that comes before the child has run a line, and many times for luck.
        with interruptions():
            for _ in range(10):
                for number in SIGNALS:
                    status = end_of(wait_for_signal, lambda pid, number=number: os.kill(pid, number))
                    assert status in ({-number, 30} if number is signal.SIGINT else {-number})

    @pytest.mark.parametrize("number", SIGNALS)
    async def test_a_child_ends_by_its_own_signal_and_the_parent_hears_of_none(self, number: signal.Signals) -> None:
        def child() -> None:
            signal.raise_signal(number)

        with interruptions() as received:
            assert end_of(child) == (30 if number is signal.SIGINT else -number)
            signal.raise_signal(signal.SIGTERM)
            async with aclosing(received) as signals:
                assert await anext(signals) == signal.SIGTERM

    async def test_a_child_does_not_write_to_the_descriptor_that_wakes_the_parent(self) -> None:
        def child() -> None:
            if signal.set_wakeup_fd(-1) != -1:
                raise AssertionError

        with interruptions():
            assert end_of(child) == 0

    async def test_a_signal_that_was_ignored_before_is_ignored_in_the_child_too(self) -> None:
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            with interruptions():
                assert end_of(lambda: signal.raise_signal(signal.SIGTERM)) == 0
        finally:
            signal.signal(signal.SIGTERM, before)

    async def test_handlers_and_mask_of_the_parent_stay_and_a_later_child_is_left_alone(self) -> None:
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        with interruptions():
            handler = signal.getsignal(signal.SIGTERM)
            assert end_of(lambda: None) == 0
            assert signal.getsignal(signal.SIGTERM) is handler
            assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
        caught: list[int] = []

        def child() -> None:
            if signal.getsignal(signal.SIGTERM) is not handler:
                raise AssertionError

        def handler(number: int, _: object) -> None:
            caught.append(number)

        before = signal.signal(signal.SIGTERM, handler)
        try:
            assert end_of(child) == 0
        finally:
            signal.signal(signal.SIGTERM, before)
