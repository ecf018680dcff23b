"""The real seams, and the simulated ones beside them."""

import itertools
import random

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.seams import Seams, TimeOrderedIds, TrioThreads
from factflow_engine.testing import Simulation, in_virtual_time


class FixedRandomness:
    def uniform(self, low, high):
        return low

    def token(self, size):
        return b"\xff" * size


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=50))
def test_ids_of_one_source_only_go_up_and_begin_with_the_time(times_ms):
    ids = TimeOrderedIds(FixedRandomness())
    made = [ids.new(ms * 1_000_000) for ms in times_ms]
    assert all(first < second for first, second in itertools.pairwise(made))
    assert all(len(made_id) == 16 for made_id in made)
    latest = itertools.accumulate(times_ms, max)
    assert [int.from_bytes(made_id[:6]) for made_id in made] == list(latest)


class SlowIds:
    """The same as plainly as can be: what the native source must give."""

    def __init__(self, randomness):
        self._random, self._next, self._until_ns = randomness, 0, 0

    def reserve(self, wall_ns, count):
        if wall_ns >= self._until_ns:
            ms = wall_ns // 1_000_000
            self._until_ns = (ms + 1) * 1_000_000
            self._next = ms << 80 | int.from_bytes(self._random.token(10)) >> 1
        first, self._next = self._next, self._next + count
        return first.to_bytes(16)


class DrawnRandomness:
    def __init__(self, seed):
        self._generator = random.Random(seed)

    def token(self, size):
        return self._generator.randbytes(size)


@given(
    st.integers(),
    st.lists(st.tuples(st.integers(0, 3_000_000) | st.integers(0, 2**62), st.integers(0, 2**32)), max_size=30),
)
def test_ids_are_those_of_the_slow_source(seed, reserved):
    ids, slow = TimeOrderedIds(DrawnRandomness(seed)), SlowIds(DrawnRandomness(seed))
    for wall_ns, count in reserved:
        assert ids.reserve(wall_ns, count) == slow.reserve(wall_ns, count)
        assert ids.new(wall_ns) == slow.reserve(wall_ns, 1)


def test_randomness_that_fails_or_draws_ids_itself_costs_no_order():
    class Odd(FixedRandomness):
        drawn = 0

        def token(self, size):
            self.drawn += 1
            if self.drawn == 1:
                raise OSError("no entropy")
            if self.drawn == 2:
                self.within = ids.new(5_000_000)
                return bytes(size)
            return super().token(size)

    randomness = Odd()
    ids = TimeOrderedIds(randomness)
    with pytest.raises(OSError, match="no entropy"):
        ids.new(5_000_000)
    assert ids.new(5_000_000) > randomness.within
    randomness.token = lambda size: b"short"
    with pytest.raises(ValueError, match="10"):
        ids.new(6_000_000)


def test_two_sources_do_not_share_ids():
    first, second = Seams.real().ids, Seams.real().ids
    now = 1_700_000_000_000_000_000
    assert not {first.new(now) for _ in range(1000)} & {second.new(now) for _ in range(1000)}


async def test_a_thread_is_waited_for_when_cancelled():
    import threading

    release, events = threading.Event(), []

    def work():
        events.append("began")
        release.wait(10)
        events.append("ended")

    async with trio.open_nursery() as nursery:

        async def run():
            await TrioThreads().run(work)

        nursery.start_soon(run)
        while not events:
            await trio.sleep(0.001)
        nursery.cancel_scope.cancel()
        release.set()
    assert events == ["began", "ended"]


def test_simulated_time_passes_only_while_everybody_waits():
    async def main(simulation: Simulation):
        before = simulation.seams.clock.monotonic_ns()
        await trio.sleep(3600)
        await simulation.seams.threads.run(lambda: None)
        return simulation.seams.clock.monotonic_ns() - before

    first, again = in_virtual_time(main, seed=1), in_virtual_time(main, seed=1)
    assert first == again
    assert 3600e9 <= first < 3601e9


def test_the_seed_decides_in_which_order_trio_runs_what_is_ready():
    async def main(simulation: Simulation):
        order = []
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(note, order, number)
        return order

    async def note(order, number):
        await trio.lowlevel.checkpoint()
        order.append(number)

    orders = [in_virtual_time(main, seed=seed) for seed in (1, 1, 2, 3)]
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) > 1


def test_simulation_leaves_trio_as_it_found_it():
    core = trio._core._run
    before = core._ALLOW_DETERMINISTIC_SCHEDULING, core._r.getstate()

    async def main(simulation: Simulation):
        raise KeyError

    with pytest.raises(KeyError):
        in_virtual_time(main, seed=1)
    assert (core._ALLOW_DETERMINISTIC_SCHEDULING, core._r.getstate()) == before
