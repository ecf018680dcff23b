"""Seams of simulated processes: wrong wall clocks, right monotonic ones, and ids that nobody else has."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.testing import SimulationError, in_virtual_time
from factflow_engine.testing.simulation.faults import SkewClock, StepClock
from factflow_engine.testing.simulation.process_seams import ProcessIds, seams_of_process
from factflow_engine.testing.virtual_time import EPOCH_NS

SECOND = 1_000_000_000


def times(faults, *, at, number=1):
    """Wall seconds since the run's epoch at these moments."""

    async def main(simulation):
        seams = seams_of_process(simulation, number, faults)
        found = []
        for moment in at:
            await trio.sleep_until(moment)
            assert seams.clock.monotonic_ns() == simulation.seams.clock.monotonic_ns() == moment * SECOND
            assert seams.machine_instant() == simulation.seams.machine_instant() == ("simulation", moment * SECOND)
            found.append((seams.clock.wall_ns() - EPOCH_NS) / SECOND)
        return found

    return in_virtual_time(main, seed=0)


def test_a_right_clock_is_the_runs():
    assert times([], at=[0, 5]) == [0, 5]


def test_a_clock_is_set_at_its_time():
    faults = [StepClock(at=20, seconds=100, process=1), StepClock(at=10, seconds=-3600)]
    assert times(faults, at=[9, 10, 19, 20]) == [9, -3590, -3581, -3480]


def test_a_clock_runs_fast_or_slow_from_the_beginning():
    assert times([SkewClock(rate=1.5, process=1), SkewClock(rate=2)], at=[0, 10]) == [0, 30]
    assert times([SkewClock(rate=0.5)], at=[0, 10]) == [0, 5]


def test_the_clock_of_another_process_is_right():
    assert times([SkewClock(rate=2, process=0), StepClock(at=0, seconds=9, process=2)], at=[0, 7]) == [0, 7]


def test_a_clock_is_not_set_before_1970():
    assert times([StepClock(at=0, seconds=-1e15)], at=[1]) == [-EPOCH_NS / SECOND]


@given(
    counts=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 5)), max_size=30),
    wall=st.integers(0, EPOCH_NS),
)
def test_ids_differ_between_processes_lives_and_the_run(counts, wall):
    async def main(simulation):
        sources, found = {}, [simulation.seams.ids.new(wall) for _ in range(3)]
        for number, life, count in counts:
            ids = sources.setdefault((number, life), seams_of_process(simulation, number, life=life).ids)
            first = int.from_bytes(ids.reserve(wall, count))
            found += [(first + place).to_bytes(16) for place in range(count)]
        assert len(set(found)) == len(found)
        assert all(each[:6] == (wall // 1_000_000).to_bytes(6) for each in found)

    in_virtual_time(main, seed=0)


@pytest.mark.parametrize(("number", "life"), [(-1, 0), (0xFFFF, 0), (0, 0x10000)])
def test_numbers_without_room_in_an_id_are_refused(number, life):
    with pytest.raises(SimulationError, match=f"ids of process {number}, life {life}: expected numbers from 0"):
        ProcessIds(number, life)


def test_what_a_process_draws_depends_on_the_seed_its_number_and_its_life_alone():
    def draws(seed, number, life, *, others):
        async def main(simulation):
            for other in range(others):
                seams_of_process(simulation, other).randomness.token(8)
            seams = seams_of_process(simulation, number, life=life)
            began = trio.current_time()
            await seams.threads.run(lambda: None)
            return seams.randomness.token(8), trio.current_time() - began

        return in_virtual_time(main, seed=seed)

    assert draws(1, 2, 3, others=0) == draws(1, 2, 3, others=5)
    keys = [(1, 2, 3), (1, 2, 4), (1, 3, 3), (2, 2, 3)]
    assert len({draws(*key, others=0) for key in keys}) == 4
