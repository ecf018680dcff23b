"""Signs of overload in errors: what a concurrency limit counts as a dropped sample, and the wait that comes with it.

Kept separate from `error_classes`, whose rules a configuration may change: a limit reads `Overloaded` alone.
"""

from typing import Final

from factflow_engine.error_texts import is_a, is_group, leaves
from factflow_protocols import Overloaded

LONGEST_SECONDS: Final = 1e9
"""Longest wait that the clock supports; an adapter may ask for any number."""


def is_overload(error: BaseException) -> bool:
    """True if an error says that its dependency is overloaded, or if one in the group that it is does."""
    return any(is_a(one, Overloaded) for one in _each(error))


def asked_wait(error: BaseException) -> float:
    """Return the least seconds before another attempt that an overloaded dependency asked for; 0 if it did not.

    Of several errors in a group the longest wait applies; one that is no number of seconds, zero or more, is none.
    """
    return max((_seconds(one) for one in _each(error) if is_a(one, Overloaded)), default=0.0)


def _each(error: BaseException) -> tuple[BaseException, ...]:
    return tuple(leaves(error)) if is_group(error) else (error,)


def _seconds(error: BaseException) -> float:
    try:
        asked = getattr(error, "retry_after", None)
        seconds = 0.0 if asked is None else float(min(asked, LONGEST_SECONDS))
    except BaseException:  # noqa: BLE001 - the adapter's author may have made anything of it; it asks for nothing then
        return 0.0
    return seconds if seconds >= 0 else 0.0  # NaN is neither
