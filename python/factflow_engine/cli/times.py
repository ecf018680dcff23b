"""Times and durations for people to read.

Kept separate from `selection`, which reads the times that people write.
"""

import datetime as dt


def when(time_ns: int) -> str:
    """Return a time for people to read; empty if it is unknown."""
    try:
        return f"{dt.datetime.fromtimestamp(time_ns // 1_000_000_000, dt.UTC):%Y-%m-%d %H:%M:%S}" if time_ns else ""
    except (OverflowError, ValueError, OSError):
        return ""


def duration(nanoseconds: int) -> str:
    """Return a time for people, to three digits: `12.3 ms`."""
    for size, unit in ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")):
        if nanoseconds >= size:
            amount = nanoseconds / size
            return f"{amount:,.0f} {unit}" if amount >= 100 else f"{amount:.3g} {unit}"
    return f"{nanoseconds} ns"
