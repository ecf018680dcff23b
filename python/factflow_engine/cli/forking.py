"""Giving children that are forked during a run the signals of a process of its own.

Kept separate from `signals` because hooks of a fork cannot be withdrawn: they are registered once a process, and do
something only while a run has handlers installed.

Without this a child inherits the run's handlers, which hand a signal over to a loop that does not run there: nothing
but SIGKILL would end it. It would also write to the descriptor by which the parent's loop is woken.
"""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

_watched: Sequence[signal.Signals] = ()
"""Signals that a run of this process reads at present."""

_ignored: frozenset[signal.Signals] = frozenset()
"""Those of them that the process ignored before; a child goes on to ignore them, as nohup wishes."""

_unblocked: ContextVar[set[int] | None] = ContextVar("unblocked", default=None)
"""Signals that the forking thread blocks for as long as it forks; None while it does not fork."""


@contextmanager
def own_signals_in_children(watched: Sequence[signal.Signals], *, ignored: frozenset[signal.Signals]) -> Iterator[None]:
    """Give children that are forked inside this block Python's default handlers of these signals.

    Args:
        watched: Signals that have a handler here.
        ignored: Those that had been ignored before.
    """
    global _watched, _ignored
    _register()
    before = _watched, _ignored
    _watched, _ignored = tuple(watched), ignored
    try:
        yield
    finally:
        _watched, _ignored = before


@cache
def _register() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_block, after_in_parent=_unblock, after_in_child=_reset)


def _block() -> None:
    """Keep a signal to the child until its handlers are its own: one that came before them would be forgotten."""
    if _watched:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _watched)
        _unblocked.set({int(number) for number in _watched} - {int(number) for number in before})


def _unblock() -> None:
    unblocked = _unblocked.get()
    if unblocked is not None:
        _unblocked.set(None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, unblocked)


def _reset() -> None:
    """Make the child's signals its own; the thread that forked is its main thread."""
    global _watched  # noqa: PLW0603 - signal handlers are the process's too
    if _unblocked.get() is None:
        return
    signal.set_wakeup_fd(-1)
    for number in _watched:
        signal.signal(number, signal.SIG_IGN if number in _ignored else signal.SIG_DFL)
    interrupts = signal.SIGINT in _watched and signal.SIGINT not in _ignored
    _watched = ()
    _unblock()  # what came meanwhile ends the child here, by the system's default
    if interrupts:
        # The last call of the hook: whatever is raised in a hook is dropped, and with it the signal.
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
