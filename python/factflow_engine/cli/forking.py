"""Signal handlers of child processes that are forked during a run.

Kept separate from `signals` because fork hooks cannot be removed: they are registered once a process, and act only
while a run has handlers installed.

Without these hooks a child inherits the run's handlers, which hand signals to a loop that does not run in the child:
only SIGKILL would end it. It would also write to the descriptor that wakes the parent's loop.
"""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

_watched: Sequence[signal.Signals] = ()
"""Signals for which a run of this process has handlers now."""

_ignored: frozenset[signal.Signals] = frozenset()
"""Those of them that the process ignored before; a child goes on ignoring them, as nohup requires."""

_unblocked: ContextVar[set[int] | None] = ContextVar("unblocked", default=None)
"""Signals that were unblocked before the forking thread blocked them; None while it does not fork."""


@contextmanager
def own_signals_in_children(watched: Sequence[signal.Signals], *, ignored: frozenset[signal.Signals]) -> Iterator[None]:
    """Give children that are forked inside this block Python's default handlers of these signals.

    Args:
        watched: Signals that have a handler here.
        ignored: Those of them that were ignored before.
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
    """Block the signals until the child has handlers of its own: a signal delivered earlier would be lost."""
    if _watched:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _watched)
        _unblocked.set({int(number) for number in _watched} - {int(number) for number in before})


def _unblock() -> None:
    unblocked = _unblocked.get()
    if unblocked is not None:
        _unblocked.set(None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, unblocked)


def _reset() -> None:
    """Install the child's own handlers; the thread that forked is its main thread."""
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
        # Must be the hook's last call: an exception raised in a hook is dropped, and the signal with it.
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.raise_signal(signal.SIGINT)
