"""Simulated processes: a crash after any step stops each task for good, and nothing else."""

import contextlib
import gc

import pytest
import trio
import trio.testing

from factflow_engine.testing import in_virtual_time
from factflow_engine.testing.simulation.processes import (
    CRASHED,
    Ended,
    SimulatedProcessError,
    SimulatedProcesses,
)

TICK = 0.5
TICKS = 12


class Moments(trio.abc.Instrument):
    """The times at which the virtual clock has stopped."""

    def __init__(self):
        self.stops = []

    def after_io_wait(self, timeout):
        self.stops.append(trio.current_time())


async def ticking(log):
    """A bystander, whose times and steps no process may change."""
    for number in range(TICKS):
        log.append((number, trio.current_time()))
        await trio.sleep(TICK)


class Busy:
    """A program with each kind of wait; notes all that it does, and each `finally`."""

    def __init__(self):
        self.log = []

    async def __call__(self, process):
        process.on_death.append(lambda: self.log.append("dead"))
        self.lock, self.event = trio.Lock(), trio.Event()
        with self.noted("root"):
            async with trio.open_nursery() as nursery:
                send, receive = trio.open_memory_channel(1)
                nursery.start_soon(self.send, send)
                nursery.start_soon(self.receive, receive)
                nursery.start_soon(self.time_out)
                nursery.start_soon(self.shielded)
                nursery.start_soon(self.iterate)
                nursery.start_soon(self.lock_and_sleep)
                nursery.start_soon(self.lock_and_sleep)
                nursery.start_soon(self.nest, 3)
                nursery.start_soon(self.catch_all)
                await nursery.start(self.started)
                async with self.opened() as value:
                    self.log.append(value)
                    await trio.sleep(0.237)
                self.event.set()
                nursery.cancel_scope.deadline = trio.current_time() + 1.031
        return "done"

    @contextlib.contextmanager
    def noted(self, name):
        self.log.append(name)
        try:
            yield
        finally:
            self.log.append(f"{name} ends")

    async def send(self, channel):
        with self.noted("send"):
            async with channel:
                for number in range(5):
                    self.log.append(number)
                    await channel.send(number)

    async def receive(self, channel):
        with self.noted("receive"):
            async for number in channel:
                self.log.append(-number)
                await trio.sleep(0.0313)

    async def time_out(self):
        with self.noted("time out"), trio.move_on_after(0.0717), trio.move_on_after(300.77):
            await trio.sleep_forever()
        with pytest.raises(trio.TooSlowError), trio.fail_after(0.1003):
            await trio.Event().wait()
        await trio.sleep(0.6661)

    async def shielded(self):
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True), self.noted("shielded"):
                await trio.sleep(0.0919)

    async def numbers(self, count):
        with self.noted("numbers"):
            for number in range(count):
                await trio.sleep(0.0211)
                yield number
                if number:
                    async for each in self.numbers(number - 1):
                        yield each

    async def iterate(self):
        async with contextlib.aclosing(self.numbers(4)) as numbers:
            async for number in numbers:
                self.log.append(number)

    @contextlib.asynccontextmanager
    async def opened(self):
        await trio.sleep(0.0111)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 500.31)
                yield "opened"
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True), self.noted("closing"):
                await trio.sleep(0.0171)

    async def lock_and_sleep(self):
        async with self.lock:
            with self.noted("locked"):
                await trio.sleep(0.0411)
        await self.event.wait()

    async def nest(self, depth):
        with self.noted(f"nest {depth}"):
            async with trio.open_nursery() as nursery:
                for _ in range(2 if depth else 0):
                    nursery.start_soon(self.nest, depth - 1)
                await trio.lowlevel.checkpoint()

    async def started(self, task_status):
        await trio.lowlevel.cancel_shielded_checkpoint()
        task_status.started()
        with self.noted("started"):
            await self.event.wait()

    async def catch_all(self):
        for _ in range(3):
            try:
                await trio.sleep(40.07)
            except BaseException:
                self.log.append("caught")
                with trio.CancelScope(shield=True):
                    await trio.sleep(0.0019)
        await trio.lowlevel.checkpoint()


def run_busy(*, seed=0, **options):
    """Run it beside a bystander; give what is to be looked at."""
    busy, ticks, moments = Busy(), [], Moments()
    found = {}

    async def run(simulation):
        trio.lowlevel.add_instrument(moments)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ticking, ticks)
            async with SimulatedProcesses(counts_steps=True) as processes:
                process = None

                async def program(given):
                    nonlocal process
                    process = given
                    return await busy(given)

                found["result"] = await processes.run(0, program, **options)
                found["time"] = trio.current_time()
                found["steps"] = process.steps
                found["stops"] = len(moments.stops)
                await trio.sleep(TICK * TICKS)
                found["log"] = tuple(busy.log)
            gc.collect()

    in_virtual_time(run, seed=seed)
    return found, busy, ticks, moments


PLAIN, *_ = run_busy()
TIMES = [(number, number * TICK) for number in range(TICKS)]
EACH_STEP = [
    pytest.param(step, marks=[pytest.mark.slow] if step % 3 else [], id=str(step)) for step in range(1, PLAIN["steps"])
]


def test_a_process_that_nobody_crashes_ends_with_its_value():
    found, _, ticks, _ = run_busy()
    assert found["result"] == Ended("done")
    assert found["steps"] == PLAIN["steps"] > 100
    assert found["log"] == PLAIN["log"]
    assert ticks == TIMES


@pytest.mark.parametrize("step", EACH_STEP)
def test_after_a_crash_at_any_step_no_task_goes_on_and_all_others_do(step, caplog):
    found, _, ticks, moments = run_busy(crash_step=step)
    assert found["result"] is CRASHED
    assert found["steps"] == step
    assert found["log"][-1] == "dead"  # nothing was noted after it, for longer than any wait
    assert found["log"][:-1] == PLAIN["log"][: len(found["log"]) - 1]  # all before it was as without a crash
    assert ticks == TIMES
    assert {time for time in moments.stops[found["stops"] :] if time % TICK} <= {
        found["time"],
        found["time"] + TICK * TICKS,
    }
    assert not caplog.records


@pytest.mark.parametrize("step", range(1, PLAIN["steps"], 7))
def test_after_a_cancellation_at_any_step_each_finally_runs(step):
    found, busy, ticks, _ = run_busy(cancel_step=step)
    assert found["result"] in (Ended(None, was_cancelled=True), Ended("done"))
    assert busy.log.count("root") == busy.log.count("root ends")
    assert "dead" not in busy.log
    assert found["log"] == tuple(busy.log)
    assert ticks == TIMES


def test_the_same_step_and_seed_give_the_same_run():
    for step in range(1, PLAIN["steps"], 31):
        assert run_busy(crash_step=step, seed=5)[0]["log"] == run_busy(crash_step=step, seed=5)[0]["log"]


def in_processes(function, *, seed=0, **options):
    """Run an async function with simulated processes."""

    async def run(simulation):
        async with SimulatedProcesses(**options) as processes:
            return await function(processes)

    return in_virtual_time(run, seed=seed)


def test_a_process_may_crash_itself_and_never_hears_of_it():
    log = []

    async def main(processes):
        async def beside():
            try:
                await trio.sleep(1)
            finally:
                log.append("beside ends")

        async def program(process):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(beside)
                await trio.sleep(0.1)
                try:
                    await processes.crash(7)
                finally:
                    log.append("it returns")

        assert await processes.run(7, program) is CRASHED
        assert trio.current_time() == 0.1
        await trio.sleep(5)
        assert log == []

    in_processes(main)


@pytest.mark.parametrize("waits", [True, False])
def test_a_process_that_crashes_itself_without_waiting_goes_on_to_the_end_of_its_step(waits):
    log = []

    async def main(processes):
        async def program(process):
            assert processes.crash_nowait(0)
            assert processes.crash_nowait(0)
            log.append("step")
            if waits:
                await trio.lowlevel.checkpoint()
                log.append("next step")

        assert await processes.run(0, program) is CRASHED
        assert "after_task_step" not in trio._core._run.GLOBAL_RUN_CONTEXT.runner.instruments
        await trio.sleep(1)

    in_processes(main)
    assert log == ["step"]


def test_another_process_or_the_program_around_may_crash_one():
    async def main(processes):
        results = {}

        async def sleeper(process):
            await trio.sleep(10)

        async def killer(process):
            await trio.sleep(1)
            assert await processes.crash(0)
            assert not await processes.crash(0)
            await trio.sleep(1)

        async def run(number, function):
            results[number] = await processes.run(number, function), trio.current_time()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, 0, sleeper)
            nursery.start_soon(run, 1, killer)
            nursery.start_soon(run, 2, sleeper)
            await trio.sleep(3)
            assert [process.number for process in processes.running] == [2]
            assert processes.crash_nowait(2)
            assert processes.running == ()
        assert results == {0: (CRASHED, 1), 1: (Ended(None), 2), 2: (CRASHED, 3)}

    in_processes(main)


def test_a_process_that_runs_again_has_its_number_and_another_life():
    async def main(processes):
        async def program(process):
            if process.life < 3:
                await processes.crash(process.number)
            return repr(process)

        found = [await processes.run(4, program) for _ in range(4)]
        assert found == [CRASHED, CRASHED, CRASHED, Ended("<process 4, life 3>")]

    in_processes(main)


def test_an_exception_is_raised_as_it_is():
    async def main(processes):
        async def program(process):
            await trio.sleep(1)
            raise KeyError("x")

        with pytest.raises(KeyError, match="x"):
            await processes.run(0, program)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)
            raise OSError

    with pytest.RaisesGroup(OSError):
        in_processes(main)


def test_an_exception_of_the_block_is_raised_as_it_is_and_cancels_processes():
    log = []

    async def run(simulation):
        async def program(process):
            try:
                await trio.sleep_forever()
            finally:
                log.append("cancelled")

        async with trio.open_nursery() as nursery:
            with pytest.raises(OSError, match="mine"):
                async with SimulatedProcesses() as processes:
                    nursery.start_soon(processes.run, 0, program)
                    await trio.sleep(1)
                    raise OSError("mine")
        assert log == ["cancelled"]

    in_virtual_time(run, seed=0)


def test_an_exception_of_on_death_is_raised():
    async def main(processes):
        for count in (1, 2):

            async def program(process, count=count):
                for number in range(count):
                    process.on_death.append(lambda number=number: 1 / 0)
                await trio.sleep(1)

            with pytest.raises(ZeroDivisionError) if count == 1 else pytest.RaisesGroup(*[ZeroDivisionError] * 2):
                await processes.run(0, program, crash_step=1)

    in_processes(main)


def test_cancelling_the_caller_cancels_the_process_and_waits_for_its_end():
    async def main(processes):
        async def program(process):
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(1)

        with trio.move_on_after(2) as scope:
            await processes.run(0, program)
        assert scope.cancelled_caught
        assert trio.current_time() == 3
        assert processes.running == ()

    in_processes(main)


def test_wrong_use_is_refused():
    async def main(processes):
        async with trio.open_nursery() as nursery:

            async def program(process):
                await trio.sleep(1)

            nursery.start_soon(processes.run, 0, program)
            await trio.sleep(0.5)
            with pytest.raises(SimulatedProcessError, match="process 0: expected it to have ended, but it runs"):
                await processes.run(0, program)
        for name in ("crash_step", "cancel_step"):
            with pytest.raises(SimulatedProcessError, match=f"{name}: expected a number from 1, or None, got 0"):
                await processes.run(0, program, **{name: 0})
        with pytest.raises(SimulatedProcessError, match="expected a call within `async with SimulatedProcesses"):
            await SimulatedProcesses().run(0, program)
        with pytest.raises(
            SimulatedProcessError, match="process 1: expected a call from outside, got one of process 0"
        ):
            await processes.run(0, lambda process: processes.run(1, program))
        assert not processes.crash_nowait(3)

    in_processes(main)


def test_nothing_is_installed_for_processes_whose_steps_do_not_matter():
    async def main(processes):
        instruments = trio._core._run.GLOBAL_RUN_CONTEXT.runner.instruments

        async def program(process):
            await trio.lowlevel.checkpoint()
            return process.steps, "after_task_step" in instruments

        assert await processes.run(0, program) == Ended((0, False))
        assert await processes.run(0, program, crash_step=100) == Ended((1, True))
        assert await processes.run(0, program) == Ended((0, False))

    in_processes(main)


# -- what living tasks share with the dead ---------------------------------------------------------------------------


def test_a_dead_task_gets_nothing_that_a_living_one_waits_for():
    async def main(processes):
        send, receive = trio.open_memory_channel(0)
        lot = trio.lowlevel.ParkingLot()
        got = []

        async def take(name):
            got.append((name, await receive.receive()))

        async def wait(name):
            await lot.park()
            got.append((name, "woken"))

        async def program(process):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(take, "dead")
                nursery.start_soon(wait, "dead")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(processes.run, 0, program)
            await trio.sleep(1)
            nursery.start_soon(take, "living")
            nursery.start_soon(wait, "living")
            await trio.sleep(1)
            await processes.crash(0)
            await send.send("message")
            lot.unpark()
            await trio.sleep(1)
            assert sorted(got) == [("living", "message"), ("living", "woken")]

    in_processes(main)


def test_a_lock_that_a_dead_task_holds_stays_locked_and_breaks_for_nobody():
    async def main(processes):
        lock = trio.Lock()

        async def program(process):
            async with lock:
                await trio.sleep(1)

        await processes.run(0, program, crash_step=2)
        await processes.bury()
        with trio.move_on_after(10) as scope:
            await lock.acquire()
        assert scope.cancelled_caught

    in_processes(main)


def test_dead_tasks_that_are_woken_cancelled_or_joined_stay_dead():
    log = []

    async def main(processes):
        given = {}

        async def program(process):
            async with trio.open_nursery() as nursery:
                given.update(nursery=nursery, task=trio.lowlevel.current_task())
                try:
                    await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.SUCCEEDED)
                finally:
                    log.append("ends")

        await processes.run(0, program, crash_step=1)
        for _ in range(3):
            trio.lowlevel.reschedule(given["task"])
            await trio.sleep(1)
        given["nursery"].cancel_scope.cancel()
        await trio.sleep(1)
        with pytest.raises(RuntimeError, match="closed to new arrivals"):
            given["nursery"].start_soon(trio.sleep, 1)
        trio.lowlevel.reschedule(given["task"])  # buried while it is to run
        assert log == []

    in_processes(main)
