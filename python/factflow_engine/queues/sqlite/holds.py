"""Ranges of messages that are neither settled nor still to be handed out for the first time; pure arithmetic.

`schema` defines a hold. Kept separate from the statements so that splitting and joining can be tested without a file.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

_NO_RANGE: Final = (1 << 63, 1 << 63)
"""A range beyond all sequence numbers."""


class Hold(NamedTuple):
    """A range of one line's messages with the same lease, time and attempts; a row of the table.

    Attributes:
        low: First sequence number.
        high: Last sequence number.
        line: Id of the line.
        due: End of the lease, or the time at which the messages may be handed out again, in nanoseconds of wall time; 0
        for now.
        token: Token of the lease; 0 if no consumer has the messages.
        attempts: Number of attempts spent before.
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
    """A range of settled messages whose rows are retained for a while; a row of the table.

    Attributes:
        low: First sequence number.
        high: Last sequence number.
        at: Time of settlement, in seconds of wall time.
    """

    low: int
    high: int
    at: int


R = TypeVar("R", Hold, Kept)


class Return(NamedTuple):
    """Terms on which one message is given back: the time at which it is due, and whether an attempt was spent."""

    due: int
    counts: bool


def join(holds: Iterable[Hold]) -> list[Hold]:
    """Return the same holds, ascending, with equal neighbours joined."""
    joined: list[Hold] = []
    for hold in sorted(holds):
        last = joined[-1] if joined else None
        if last is not None and last.high + 1 == hold.low and last[2:] == hold[2:]:
            joined[-1] = last._replace(high=hold.high)
        else:
            joined.append(hold)
    return joined


def without(hold: Hold, taken: Sequence[int]) -> list[Hold]:
    """Return the rest of a hold without some messages.

    Args:
        hold: The hold.
        taken: Sequence numbers within it, ascending.
    """
    if len(taken) == hold.size:
        return []
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
        ranges: Ascending ranges that do not overlap.
        taken: Ascending ranges of sequence numbers, ends included, that do not overlap.
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
                break  # it may extend into the next one
            place += 1
        if low <= each.high:
            left.append(each._replace(low=low))
    return left


def disjoint(ranges: Iterable[R], first: int, last: int) -> tuple[list[R], list[R]]:
    """Return ranges without overlaps and within bounds, made of ranges that may violate both.

    Args:
        ranges: Ranges in the order of `low`.
        first: The least sequence number allowed.
        last: The greatest sequence number allowed.

    Returns:
        Ascending, non-empty ranges, each without what an earlier one has; and the given ranges that were changed or
        dropped.
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
    """Lookup of ascending numbers in ascending ranges, which also collects the parts of ranges that no number hit.

    Attributes:
        passed: Those parts, up to the last number.
    """

    def __init__(self, ranges: Iterable[tuple[int, int]]) -> None:
        self.passed: list[tuple[int, int]] = []
        self._ranges = iter(ranges)
        self._low, self._high = next(self._ranges, _NO_RANGE)  # the rest of the next range

    def takes(self, number: int) -> bool:
        """True if a range contains this number, which must be greater than those before."""
        while self._high < number:
            self._pass(self._high)
            self._low, self._high = next(self._ranges, _NO_RANGE)
        if number < self._low:
            return False
        self._pass(number - 1)
        self._low = number + 1
        return True

    def finish(self) -> list[tuple[int, int]]:
        """Go on to the end of the ranges; return `passed`."""
        self.takes(_NO_RANGE[0])
        return self.passed

    def _pass(self, last: int) -> None:
        if self._low <= last:
            self.passed.append((self._low, last))


def settle(
    holds: Sequence[Hold], acked: Mapping[int, int], returned: Mapping[int, tuple[int, Return]]
) -> tuple[list[Hold], list[int], int]:
    """Remove settled messages from their leases.

    A message without a hold of the same token was settled before, or leased to another consumer since: it is skipped.

    Args:
        holds: All holds with the tokens in question.
        acked: Sequence number to the token under which it was handed out.
        returned: The same for messages given back, with the terms of each.

    Returns:
        The remaining holds, the sequence numbers settled for good, and the number of messages given back.
    """
    after: list[Hold] = []
    gone: list[int] = []
    back = 0
    numbers = sorted({*acked, *returned})
    for hold in holds:
        inside = numbers[bisect_left(numbers, hold.low) : bisect_right(numbers, hold.high)]
        if not returned and {acked[number] for number in inside} <= {hold.token}:
            gone += inside
            after += without(hold, inside)
            continue
        taken = []
        for number in inside:
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
