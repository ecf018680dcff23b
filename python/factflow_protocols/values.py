"""The two message values that JSON lacks; kept separate because adapters, frames and conditions all use them.

A message is a tree of None, bool, int (64 bits, signed or unsigned), float, str, bytes, list, dict with str keys,
and these two.
"""

from typing import NamedTuple


class Timestamp(NamedTuple):
    """Time with nanosecond precision, as in msgpack's extension -1.

    Attributes:
        seconds: Whole seconds since the Unix epoch; negative before it.
        nanoseconds: 0 to 999,999,999, always forward from `seconds`.
    """

    seconds: int
    nanoseconds: int = 0


class Ext(NamedTuple):
    """Application-defined msgpack extension value that the engine carries unread.

    Attributes:
        code: -128 to 127; -1 is taken (`Timestamp`).
        data: The extension's bytes.
    """

    code: int
    data: bytes
