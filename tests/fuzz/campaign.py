"""A run of one fuzz target: mutations of inputs that are kept, for some seconds of the wall clock.

An input is kept if it ends in a way that none before it did, so that the run feels its way behind the first checks without
measuring coverage. A failure is made smaller, and printed with the seed that draws it again. The twin of
`rust/core/tests/fuzz/campaign.rs`.
"""

import os
import random
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

REGRESSIONS = Path(__file__).parent / "regressions"
SLOWEST_SECONDS = 5.0
"""Most time of the processor for one input: far above any that is right, and measured again before it is believed."""
MOST_KEPT = 5_000
MOST_SHRINKS = 3_000
MOST_BYTES = 8_192


@dataclass(frozen=True, kw_only=True)
class Target:
    """A target, and what its inputs are made of.

    Attributes:
        name: Name, as failures give it, and of the file of inputs that failed once: one a line, as a bytes literal.
        check: Check of an input, which raises if something is wrong; it returns in which way the input ended.
        seeds: Inputs to begin with.
        words: Pieces to put into inputs.
    """

    name: str
    check: Callable[[bytes], Hashable]
    seeds: Sequence[bytes]
    words: Sequence[bytes] = ()


class FuzzError(AssertionError):
    """An input for which something does not hold."""


def campaign(target: Target, seconds: float) -> str:
    """Run a target for so many seconds, or `FUZZ_SECONDS`, from a new seed or `FUZZ_SEED`; return and print figures."""
    seconds = float(os.environ.get("FUZZ_SECONDS", seconds))
    seed = int(os.environ.get("FUZZ_SEED", time.time_ns() % 10**9))
    pool, ways = list(target.seeds), set()
    for data in [*regressions(target.name), *pool]:
        ways.add(attempt(target, data, seed))
    runs, begun = 0, time.monotonic()
    while time.monotonic() - begun < seconds:
        data = mutated(random.Random(seed + runs), pool, target.words)
        runs += 1
        way = attempt(target, data, seed)
        if way not in ways and len(ways) < MOST_KEPT:
            ways.add(way)
            pool.append(data)
    rate = runs / (time.monotonic() - begun)
    figures = f"{target.name}: {runs} inputs, {rate:.0f}/s, {len(ways)} ways to end, seed {seed}"
    print(figures)
    return figures


def regressions(name: str) -> list[bytes]:
    """The inputs that failed once."""
    file = REGRESSIONS / f"{name}.txt"
    lines = file.read_text().splitlines() if file.exists() else []
    return [eval(line) for line in lines if line and not line.startswith("#")]


def attempt(target: Target, data: bytes, seed: int) -> Hashable:
    """The way in which an input ends; `FuzzError` with a small one if something is wrong."""
    try:
        return timed(target.check, data)
    except Exception as error:
        small, seen = data, error
        for smaller in shrinking(data):
            try:
                timed(target.check, smaller.candidate)
            except Exception as smaller_error:
                if type(smaller_error) is type(error):
                    small, seen = smaller.accept(), smaller_error
        kept = f"append the literal to tests/fuzz/regressions/{target.name}.txt"
        raise FuzzError(f"{target.name}: {small!r} (seed {seed}): {seen!r}; {kept}") from seen


def timed(check: Callable[[bytes], Hashable], data: bytes) -> Hashable:
    """The check's result, if one of three measurements was quick enough."""
    for _ in range(3):
        begun = time.thread_time()
        way = check(data)
        if time.thread_time() - begun < SLOWEST_SECONDS:
            return way
    raise TimeoutError(f"it took more than {SLOWEST_SECONDS} s, three times")


class Smaller:
    """A candidate for the failing input, which the search goes on from if it is accepted."""

    def __init__(self, candidate: bytes) -> None:
        self.candidate = candidate
        self.is_accepted = False

    def accept(self) -> bytes:
        self.is_accepted = True
        return self.candidate


def shrinking(data: bytes):
    """Give parts of a failing input, ever smaller; each may be accepted while it is looked at."""
    tries, size, deadline = 0, len(data), time.monotonic() + 30
    while size > 0 and tries < MOST_SHRINKS and time.monotonic() < deadline:
        at, before = 0, len(data)
        while at + size <= len(data) and tries < MOST_SHRINKS and time.monotonic() < deadline:
            smaller = Smaller(data[:at] + data[at + size :])
            tries += 1
            yield smaller
            if smaller.is_accepted:
                data = smaller.candidate
            else:
                at += max(1, size // 2)
        size = min(size, len(data)) if len(data) < before else size // 2


def mutated(draw: random.Random, pool: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    """A mutation of one of the inputs."""
    data = draw.choice(pool)
    for _ in range(draw.randrange(1, 5)):
        data = draw.choice(MUTATIONS)(draw, data, pool, words)
    return data[:MOST_BYTES]


def _range(draw, data):
    most = len(data) if draw.random() < 0.25 else min(8, len(data))
    size = draw.randint(0, most)
    start = draw.randint(0, len(data) - size)
    return start, start + size


def _flip(draw, data, pool, words):
    at = draw.randrange(len(data) or 1)
    return data[:at] + bytes([byte ^ 1 << draw.randrange(8) for byte in data[at : at + 1]]) + data[at + 1 :]


def _cut(draw, data, pool, words):
    start, end = _range(draw, data)
    return data[:start] + data[end:]


def _truncate(draw, data, pool, words):
    return data[: draw.randint(0, len(data))]


def _copy(draw, data, pool, words):
    (start, end), at = _range(draw, data), draw.randint(0, len(data))
    return data[:at] + data[start:end] + data[at:]


def _repeat(draw, data, pool, words):
    start, end = _range(draw, data)
    return data[:start] + data[start : min(end, start + 6)] * draw.randrange(300) + data[end:]


def _splice(draw, data, pool, words):
    at, other = draw.randint(0, len(data)), draw.choice(pool)
    start, end = _range(draw, other)
    return data[:at] + (other[start:end] + data[at:] if draw.random() < 0.5 else other[start:])


def _word(draw, data, pool, words):
    if not words:
        return data
    start, end = _range(draw, data)
    return data[:start] + draw.choice(words) + data[end if draw.random() < 0.5 else start :]


def _lines(draw, data, pool, words):
    """Leave out, repeat, move or indent a line, or take one from another input."""
    lines = data.split(b"\n")
    at, to = draw.randrange(len(lines)), draw.randrange(len(lines) + 1)
    how = draw.randrange(5)
    if how == 0:
        del lines[at]
    elif how == 1:
        lines.insert(to, lines[at])
    elif how == 2:
        lines.insert(min(to, len(lines) - 1), lines.pop(at))
    elif how == 3:
        lines[at] = b" " * draw.randrange(1, 5) + lines[at] if draw.random() < 0.5 else lines[at].removeprefix(b"  ")
    else:
        lines.insert(to, draw.choice(draw.choice(pool).split(b"\n")))
    return b"\n".join(lines)


MUTATIONS = [_flip, _cut, _truncate, _copy, _repeat, _splice, _splice, _word, _word, _word, _lines, _lines]
