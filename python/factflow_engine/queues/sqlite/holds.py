"""Ranges of messages that are neither settled nor still to be handed out for the first time; pure arithmetic.

See `schema` for what a hold means. Kept separate from the statements so that splitting and joining can be tested without a file.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

_NO_RANGE: Final = (1 << 63, 1 << 63)
"""Beyond all sequence numbers."""


class Hold(NamedTuple):
    """A range of one line's messages that share their fate; a row of the table.

    Attributes:
        low: First sequence number.
        high: Last one.
        line: Id of the line.
        due: When the lease ends, or when it may be handed out again; nanoseconds of wall time, 0 for at once.
        token: Of the lease; 0 if nobody has it.
        attempts: How many were spent before.
    """

    low: int
    high: int
    line: int
    due: int
    token: int
    attempts: int

    @property
    def size(self) -> int:
        """Return the number of messages in the range."""
        return self.high - self.low + 1


class Kept(NamedTuple):
    """A range of settled messages whose rows are kept for a while; a row of the table.

    Attributes:
        low: First sequence number.
        high: Last one.
        at: When they were settled, in seconds of wall time.
    """

    low: int
    high: int
    at: int


R = TypeVar("R", Hold, Kept)


class Return(NamedTuple):
    """Terms of giving one message back: the time at which it is due, and whether an attempt was spent."""

    due: int
    counts: bool


def join(holds: Iterable[Hold]) -> list[Hold]:
    """The same holds, ascending, with neighbours that share their fate made one."""
    joined: list[Hold] = []
    for hold in sorted(holds):
        last = joined[-1] if joined else None
        if last is not None and last.high + 1 == hold.low and last[2:] == hold[2:]:
            joined[-1] = last._replace(high=hold.high)
        else:
            joined.append(hold)
    return joined


def without(hold: Hold, taken: Sequence[int]) -> list[Hold]:
    """Return the rest of a hold.

    Args:
        hold: Any.
        taken: Sequence numbers within it, ascending.
    """
    left = []
    low = hold.low
    for number in taken:
        if number > low:
            left.append(hold._replace(low=low, high=number - 1))
        low = number + 1
    if low <= hold.high:
        left.append(hold._replace(low=low))
    return left


def minus(ranges: Iterable[R], taken: Sequence[tuple[int, int]]) -> list[R]:
    """Return the rest of several ranges, as `without` does for one hold.

    Args:
        ranges: Ascending, none overlapping another.
        taken: Ranges of sequence numbers, ends included, ascending, none overlapping another.
    """
    left: list[R] = []
    place = 0
    for each in ranges:
        low = each.low
        while place < len(taken) and taken[place][0] <= each.high:
            first, last = taken[place]
            if first > low:
                left.append(each._replace(low=low, high=first - 1))
            low = max(low, last + 1)
            if last > each.high:
                break  # it may reach into the next one
            place += 1
        if low <= each.high:
            left.append(each._replace(low=low))
    return left


def disjoint(ranges: Iterable[R], first: int, last: int) -> tuple[list[R], list[R]]:
    """Return ranges that overlap nowhere and stay in bounds, made of ranges that need not.

    Args:
        ranges: In the order of `low`.
        first: The least sequence number that there may be.
        last: The greatest.

    Returns:
        Ranges ascending, none empty, each without what an earlier one has; and those of the given ones that are not among
        them as they were.
    """
    right: list[R] = []
    wrong: list[R] = []
    for each in ranges:
        cut = each._replace(low=max(each.low, first), high=min(each.high, last))
        if cut != each or cut.low > cut.high:
            wrong.append(each)
        if cut.low <= cut.high:
            right.append(cut)
            first = cut.high + 1
    return right, wrong


class Cover:
    """Which of ascending numbers are within ascending ranges, and which parts of the ranges none of them was in.

    Attributes:
        passed: Those parts, as far as the numbers went.
    """

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self.passed: list[tuple[int, int]] = []
        self._ranges = iter(ranges)
        self._low, self._high = next(self._ranges, _NO_RANGE)  # what is left of the range that is next

    def takes(self, number: int) -> bool:
        """True if a range has this number, which is greater than those asked for before."""
        while self._high < number:
            self._pass(self._high)
            self._low, self._high = next(self._ranges, _NO_RANGE)
        if number < self._low:
            return False
        self._pass(number - 1)
        self._low = number + 1
        return True

    def finish(self) -> list[tuple[int, int]]:
        """Go on to the end; gives `passed`."""
        self.takes(_NO_RANGE[0])
        return self.passed

    def _pass(self, last: int) -> None:
        if self._low <= last:
            self.passed.append((self._low, last))


def settle(
    holds: Sequence[Hold], acked: Mapping[int, int], returned: Mapping[int, tuple[int, Return]]
) -> tuple[list[Hold], list[int], int]:
    """Take settled messages out of their leases.

    What is not covered by a hold with the same token was settled before, or given to somebody else since: it is
    passed over.

    Args:
        holds: All with the tokens in question.
        acked: Sequence number to the token under which it was handed out.
        returned: The same for those given back, with what becomes of each.

    Returns:
        What the holds become, the sequence numbers settled for good, and how many were given back.
    """
    after: list[Hold] = []
    gone: list[int] = []
    back = 0
    numbers = sorted({*acked, *returned})
    for hold in holds:
        taken = []
        for number in numbers[bisect_left(numbers, hold.low) : bisect_right(numbers, hold.high)]:
            if acked.get(number) == hold.token:
                gone.append(number)
            elif number in returned and returned[number][0] == hold.token:
                fate = returned[number][1]
                after.append(Hold(number, number, hold.line, fate.due, 0, hold.attempts + fate.counts))
                back += 1
            else:
                continue
            taken.append(number)
        after += without(hold, taken)
    return join(after), sorted(gone), back
