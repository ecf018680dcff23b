"""Predicates for arguments of a simulation: numbers, seconds and counts.

Kept separate from the classes that check their fields with them, because faults, models, inputs and runs ask the same.
"""

import sys
from typing import Final, TypeGuard

MOST_SECONDS: Final = 1e9
"""Latest virtual second at which something may be planned: clocks count nanoseconds in 64 bits."""


def is_number(value: object) -> TypeGuard[float]:
    """True for a number that a float can hold: of an int, `math.isfinite` would ask for that by an error."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max


def is_time(value: object) -> TypeGuard[float]:
    """True for seconds, 0 or more."""
    return is_number(value) and value >= 0


def is_whole(value: object) -> TypeGuard[int]:
    """True for a whole number, which a bool is not."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_count(value: object) -> TypeGuard[int]:
    """True for a whole number from 1."""
    return is_whole(value) and value >= 1
