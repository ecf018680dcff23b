"""Ctrl-C outside a run."""

import signal

import pytest

from factflow_engine.cli.interrupts import held_interrupts, noticed_interrupts, python_interrupts

interrupt = signal.raise_signal


def test_an_interruption_is_raised_and_remembered() -> None:
    with noticed_interrupts() as interrupts:
        assert not interrupts.noticed
        with pytest.raises(KeyboardInterrupt):
            interrupt(signal.SIGINT)
        assert interrupts.noticed
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interruption_that_is_held_is_raised_at_the_end() -> None:
    done = []
    with noticed_interrupts():
        with pytest.raises(KeyboardInterrupt), held_interrupts():
            with held_interrupts():
                interrupt(signal.SIGINT)
                done.append("inner")
            done.append("outer")
        with held_interrupts():
            done.append("after")
    assert done == ["inner", "outer", "after"]


def test_an_interruption_wins_over_what_it_led_to() -> None:
    with noticed_interrupts(), pytest.raises(KeyboardInterrupt), held_interrupts():
        interrupt(signal.SIGINT)
        raise ValueError


def test_a_second_interruption_is_not_held() -> None:
    with noticed_interrupts(), pytest.raises(KeyboardInterrupt), held_interrupts():
        interrupt(signal.SIGINT)
        interrupt(signal.SIGINT)
        pytest.fail("it was held")


def test_trio_finds_pythons_own_handler() -> None:
    with noticed_interrupts() as interrupts:
        with python_interrupts():
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGINT) is interrupts


def test_another_handler_is_left_in_charge() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with noticed_interrupts() as interrupts, held_interrupts(), python_interrupts():
            interrupt(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert not interrupts.noticed
    finally:
        signal.signal(signal.SIGINT, before)
