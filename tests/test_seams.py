"""The real seams, and the simulated ones beside them."""

import itertools

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.seams import Seams, TimeOrderedIds, TrioThreads
from factflow_engine.testing import Simulation, simulate


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

    first, again = simulate(main, seed=1), simulate(main, seed=1)
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

    orders = [simulate(main, seed=seed) for seed in (1, 1, 2, 3)]
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) > 1


def test_simulation_leaves_trio_as_it_found_it():
    core = trio._core._run
    before = core._ALLOW_DETERMINISTIC_SCHEDULING, core._r.getstate()

    async def main(simulation: Simulation):
        raise KeyError

    with pytest.raises(KeyError):
        simulate(main, seed=1)
    assert (core._ALLOW_DETERMINISTIC_SCHEDULING, core._r.getstate()) == before
