"""Executions in simulated processes: crashed after any step and started again, they lose nothing."""

from collections import Counter

import pytest
import trio

from factflow_engine.queues.sqlite import Durability, SqliteQueue
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import (
    CRASHED,
    Broker,
    SimulatedProcesses,
    SimulatedRandomness,
    in_virtual_time,
    seams_of_process,
)
from factflow_engine.testing.simulation.faults import SkewClock, StepClock
from factflow_engine.testing.simulation.power import PowerCuts
from factflow_protocols import AdapterResult, PipelineAdapter, StatefulAdapter
from support.pipelines import load, registry_of
from support.sqlite_queues import settings

PIPELINE = """
routes:
  numbers:
    adapters: [{type: emit}]
    outbound: [{route: squares}]
  squares:
    inbound: {concurrency: 3}
    adapters: [{type: square}]
    outbound: [{route: sum}]
  sum:
    adapters: [{type: add}]
init_message: {route: numbers, payload: {count: 6}}
"""


class Emit(PipelineAdapter):
    adapter_type = "emit"

    async def process(self, context):
        async def numbers():
            for number in range(context.message["count"]):
                await trio.sleep(0.01)
                yield {"n": number}

        return AdapterResult(emitted=numbers())


class Square(PipelineAdapter):
    adapter_type = "square"

    async def process(self, context):
        number = context.message["n"]
        try:
            with trio.fail_after(30):
                await trio.sleep(0.02 * (number % 3))
        finally:
            await trio.lowlevel.checkpoint()
        return AdapterResult(message={"n": number, "square": number**2})


class Outside:
    """What outlives the processes besides the queue."""

    def __init__(self):
        self.sums = []
        self.attempts = Counter()


def adding(outside):
    class Add(StatefulAdapter):
        adapter_type = "add"

        def __init__(self):
            self.sum = self.count = 0

        async def process(self, context):
            outside.attempts[context.message["n"]] += 1
            await trio.sleep(0.005)
            self.sum += context.message["square"]
            self.count += 1

        def snapshot(self):
            return [self.sum, self.count]

        def restore(self, state):
            self.sum += state[0]
            self.count += state[1]

        async def finish(self):
            outside.sums.append((self.count, self.sum))

    return Add


def run_lives(path, *, crash_steps, seed=3, cuts_power=False):
    """Run the execution, crash it at each of these steps of its lives, and let the last life complete."""
    outside, steps, results = Outside(), [], []

    async def main(simulation):
        power = PowerCuts(SimulatedRandomness(f"{seed} power"))
        power.sqlite(path)
        threads = power.threads(simulation.seams.threads) if cuts_power else simulation.seams.threads
        durability = Durability.POWER if cuts_power else Durability.PROCESS

        async def program(process):
            process_seams = simulation.seams
            queue = SqliteQueue(settings(path, durability=durability), threads=threads, clock=process_seams.clock)
            registry = registry_of(emit=Emit, square=Square, add=adding(outside))
            async with OrchestratorManager(registry=registry, queue=queue, seams=process_seams) as manager:
                execution = await manager.start(load(registry, PIPELINE), execution_id="x")
                report = await execution.complete()
            await queue.stop()
            steps.append(process.steps)
            return report

        async with SimulatedProcesses(counts_steps=True) as processes:
            with trio.fail_after(600):
                for step in crash_steps:
                    result = await processes.run(0, program, crash_step=step)
                    results.append(result)
                    if result is not CRASHED:
                        break
                    if cuts_power:
                        power.cut()
                    await trio.sleep(5)  # longer than its leases
                else:
                    results.append(await processes.run(0, program))

    in_virtual_time(main, seed=seed)
    return outside, steps, results


WHOLE = (6, sum(number**2 for number in range(6)))


def steps_of_a_life(folder):
    outside, steps, results = run_lives(folder / "whole.db", crash_steps=())
    assert outside.sums == [WHOLE]
    assert outside.attempts == Counter(range(6))
    assert results[0].value.status == "completed"
    return steps[0]


def check(folder, first, stride):
    total = steps_of_a_life(folder)
    assert total > 100
    for step in range(first, total, stride):
        outside, _, results = run_lives(folder / f"{step}.db", crash_steps=[step])
        assert [result is CRASHED for result in results] == [True, False], step
        assert results[-1].value.status == "completed"
        assert outside.sums[-1] == WHOLE, step  # what was acknowledged counts once, nothing is missing
    return total


def test_an_execution_that_crashes_loses_nothing(tmp_path, caplog):
    check(tmp_path, 1, 17)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.slow
@pytest.mark.parametrize("shift", range(17))
def test_an_execution_that_crashes_after_any_step_loses_nothing(tmp_path, shift):
    check(tmp_path, 1 + shift, 17)


def test_one_that_crashes_again_and_again_loses_nothing(tmp_path):
    outside, _, results = run_lives(tmp_path / "q.db", crash_steps=range(30, 330, 37))
    assert results.count(CRASHED) >= 5
    assert results[-1].value.status == "completed"
    assert outside.sums[-1] == WHOLE


def test_one_that_loses_its_power_loses_nothing(tmp_path):
    for first in range(5, 320, 40):
        outside, _, results = run_lives(tmp_path / f"{first}.db", crash_steps=[first, 150], cuts_power=True)
        assert results[-1].value.status == "completed"
        assert outside.sums[-1] == WHOLE, first


def test_the_same_seed_gives_the_same_lives(tmp_path):
    one, other = (run_lives(tmp_path / f"{name}.db", crash_steps=[60, 140], seed=9) for name in ("one", "other"))
    assert one[1] == other[1]
    assert one[0].sums == other[0].sums
    assert one[0].attempts == other[0].attempts


def run_together(*, crash_steps, seed):
    """Run the execution in two processes on a broker, with wrong clocks; each crashes once and is started again."""
    outside, found = Outside(), []
    clocks = [SkewClock(rate=1.02, process=1), StepClock(at=1, seconds=-3600, process=0)]

    async def main(simulation):
        clock = simulation.seams.clock
        broker = Broker(randomness=simulation.randomness, clock=clock, lease_seconds=2.0)
        registry = registry_of(emit=Emit, square=Square, add=adding(outside))
        config = load(registry, PIPELINE)

        async def program(process):
            connection = broker.connect(process.number)
            process.on_death.append(connection.die)
            seams = seams_of_process(simulation, process.number, clocks, life=process.life)
            async with OrchestratorManager(registry=registry, queue=connection, seams=seams) as manager:
                execution = await manager.start(config, execution_id="x")
                report = await execution.complete()
            found.append((process.number, process.life, process.steps, str(report.status), trio.current_time()))

        async def live(number, crash_step):
            if await processes.run(number, program, crash_step=crash_step) is CRASHED:
                await trio.sleep(number)
                await processes.run(number, program)

        async with SimulatedProcesses(counts_steps=True) as processes:
            with trio.fail_after(3600):
                async with trio.open_nursery() as nursery:
                    for number, crash_step in enumerate(crash_steps):
                        nursery.start_soon(live, number, crash_step)

    in_virtual_time(main, seed=seed)
    return outside, found


@pytest.mark.parametrize("seed", range(6))
def test_two_processes_on_a_broker_crash_and_lose_nothing(seed):
    crash_steps = (40 + 31 * seed, 170 - 23 * seed)
    outside, found = run_together(crash_steps=crash_steps, seed=seed)
    assert {status for _, _, _, status, _ in found} == {"completed"}
    assert {number for number, *_ in found} == {0, 1}
    assert set(outside.attempts) == set(range(6))
    assert WHOLE in outside.sums
    again, found_again = run_together(crash_steps=crash_steps, seed=seed)
    assert (again.sums, again.attempts, found_again) == (outside.sums, outside.attempts, found)


@pytest.mark.parametrize("seed", [3, 11, 23])
def test_two_processes_on_one_file_lose_their_power_and_nothing_else(tmp_path, seed):
    outside, statuses = Outside(), []

    async def main(simulation):
        power = PowerCuts(SimulatedRandomness(f"{seed} power"))
        path = tmp_path / "q.db"
        power.sqlite(path)
        registry = registry_of(emit=Emit, square=Square, add=adding(outside))
        config = load(registry, PIPELINE)

        async def program(process):
            seams = power.seams(seams_of_process(simulation, process.number, life=process.life))
            options = settings(path, durability=Durability.POWER)
            queue = SqliteQueue(options, threads=seams.store_threads(1), clock=seams.clock)
            async with OrchestratorManager(registry=registry, queue=queue, seams=seams) as manager:
                report = await (await manager.start(config, execution_id="x")).complete()
            await queue.stop()
            statuses.append(str(report.status))

        async with SimulatedProcesses() as processes:
            with trio.fail_after(3600):
                for life in range(3):
                    async with trio.open_nursery() as nursery:
                        for number in range(2):
                            nursery.start_soon(processes.run, number, program)
                        if life < 2:
                            await trio.sleep((0.02 + seed * 0.011) * (life + 1))
                            for number in range(2):
                                processes.crash_nowait(number)
                            power.cut()
                    await trio.sleep(5)

    in_virtual_time(main, seed=seed)
    assert set(statuses) == {"completed"}
    assert WHOLE in outside.sums
