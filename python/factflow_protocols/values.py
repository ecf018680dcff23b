"""The two message values that JSON has no word for; kept separate because adapters, frames and conditions all name them.

A message is a tree of None, bool, int (64 bits, signed or unsigned), float, str, bytes, list, dict with str keys,
and these two.
"""

from typing import NamedTuple


class Timestamp(NamedTuple):
    """An instant with nanosecond precision, as msgpack's extension -1 carries it.

    Attributes:
        seconds: Whole seconds since the Unix epoch; negative before it.
        nanoseconds: 0 to 999,999,999, always forward from `seconds`.
    """

    seconds: int
    nanoseconds: int = 0


class Ext(NamedTuple):
    """An application-defined msgpack extension value that the engine carries without looking into it.

    Attributes:
        code: -128 to 127; -1 is taken (`Timestamp`).
        data: The extension's bytes.
    """

    code: int
    data: bytes
