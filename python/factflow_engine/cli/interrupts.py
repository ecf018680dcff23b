"""Detection of Ctrl-C outside a run, even if foreign code swallows the KeyboardInterrupt.

Kept separate from `signals`, which is for runs, so that commands that run nothing need not import trio.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any


class Interrupts:
    """Handler of SIGINT that acts as Python's own does, and remembers that it was called.

    Foreign code may turn a KeyboardInterrupt into another error, or drop it and continue with something half made, as
    pydantic does while it builds a validator. Code that is known to do so runs inside `held`.
    """

    def __init__(self) -> None:
        self.noticed = False
        self._holds = 0
        self._waits = False  # one came while it was held

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise KeyboardInterrupt now, or when the `held` block ends; a second interrupt is not delayed."""
        self.noticed = True
        if self._holds and not self._waits:
            self._waits = True
        else:
            signal.default_int_handler(number, frame)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Delay an interrupt until the end of this block.

        Raises:
            KeyboardInterrupt: An interrupt arrived during the block; it replaces an exception that the block raised.
        """
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            if self._waits and not self._holds:
                self._waits = False
                raise KeyboardInterrupt


@contextmanager
def noticed_interrupts() -> Iterator[Interrupts]:
    """Remember interrupts in this block if Python's own handler is installed; otherwise change nothing."""
    interrupts = Interrupts()
    if not _replaced(signal.default_int_handler, interrupts):
        yield interrupts
        return
    try:
        yield interrupts
    finally:
        _replaced(interrupts, signal.default_int_handler)


@contextmanager
def held_interrupts() -> Iterator[None]:
    """See `Interrupts.held`; does nothing where another handler is installed."""
    current = signal.getsignal(signal.SIGINT)
    with current.held() if isinstance(current, Interrupts) else nullcontext():
        yield


def interrupt_noticed() -> bool:
    """True if Ctrl-C was pressed, or if that cannot be told, because another handler is installed."""
    current = signal.getsignal(signal.SIGINT)
    return not isinstance(current, Interrupts) or current.noticed


@contextmanager
def python_interrupts() -> Iterator[None]:
    """Restore Python's own handler for this block, because trio looks for it before it protects its tasks."""
    current = signal.getsignal(signal.SIGINT)
    if not isinstance(current, Interrupts):
        yield
        return
    _replaced(current, signal.default_int_handler)
    try:
        yield
    finally:
        _replaced(signal.default_int_handler, current)


@contextmanager
def termination_as_interrupt() -> Iterator[Callable[[], bool]]:
    """Let SIGTERM interrupt this block as Ctrl-C does; yields a function that is true once it has.

    Does nothing where another handler is installed, or outside the main thread.
    """
    terminated: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        terminated.append(number)
        signal.raise_signal(signal.SIGINT)

    replaced = _replaced(signal.SIG_DFL, interrupt, signal.SIGTERM)
    try:
        yield lambda: bool(terminated)
    finally:
        if replaced:
            _replaced(interrupt, signal.SIG_DFL, signal.SIGTERM)


def is_interrupt(error: BaseException) -> bool:
    """True for a KeyboardInterrupt, also as trio's nurseries wrap it in groups, with nothing else in them."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(KeyboardInterrupt)[1] is None
    return isinstance(error, KeyboardInterrupt)


def _replaced(before: object, after: Any, number: signal.Signals = signal.SIGINT) -> bool:
    """Replace one handler by another; return False, changing nothing, if another one is installed."""
    if signal.getsignal(number) is not before:
        return False
    try:
        signal.signal(number, after)
    except ValueError:  # not the main thread: signals are not handled here
        return False
    return True
