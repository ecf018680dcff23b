"""The controller around calls of trio tasks and by hand: permits, waiting, what teaches and what does not."""

import gc
import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from factflow_engine import BackpressureController, LimitPermit
from factflow_engine.native import LIMIT_ALGORITHMS
from factflow_engine.resilience import limits
from factflow_engine.testing.virtual_time import SimulatedClock
from factflow_protocols import CircuitOpenError, Overloaded, Reject
from support.hostile_errors import HOSTILE, Examined

MS = 1_000_000


def one(algorithm: str = "aimd", **arguments: Any) -> BackpressureController:
    return BackpressureController(algorithm=algorithm, clock=SimulatedClock(), **arguments)


def taken(controller: BackpressureController, now_ns: int = 0) -> list[LimitPermit]:
    permits = []
    while (permit := controller.try_acquire(now_ns)) is not None:
        permits.append(permit)
    return permits


# -- by hand -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", LIMIT_ALGORITHMS)
def test_each_algorithm_gives_as_many_permits_as_its_limit_within_the_bounds(algorithm):
    controller = BackpressureController(
        algorithm=algorithm, min_concurrency=3, max_concurrency=9, initial_concurrency=5
    )
    permits = taken(controller)
    assert (len(permits), controller.limit, controller.in_flight) == (5, 5, 5)
    for number, permit in enumerate(permits):
        permit.record(10 * MS + number)
    assert controller.in_flight == 0
    assert 3 <= controller.limit <= 9


def test_adaptive_is_the_default_and_finds_out_that_more_may_run():
    controller = BackpressureController()
    assert (controller.algorithm, controller.limit) == ("adaptive", 10)
    now = 0
    for _ in range(100):
        for permit in taken(controller, now):
            permit.record(now + 5 * MS)
        now += 5 * MS
    assert controller.limit == 200
    change = controller.explain()
    assert change is not None
    assert (change.after, change.reason) == (200, "search: doubled, calls did not queue")
    figures = controller.statistics()
    assert (figures.least_limit, figures.greatest_limit) == (5, 200)
    assert figures.changes == {"search: halved, to compare latencies": 1, "search: doubled, calls did not queue": 5}


def test_a_target_is_a_ceiling():
    def found(target_ms: float | None) -> int:
        controller = BackpressureController(target_latency_ms=target_ms, max_concurrency=1000)
        now = 0
        for _ in range(300):  # each call beside another one takes 5 ms longer
            permits = taken(controller, now)
            now += 5 * MS * len(permits)
            for permit in permits:
                permit.record(now)
        return controller.limit

    assert found(20) <= 4
    aimd = BackpressureController(algorithm="aimd", target_latency_ms=20, min_concurrency=1, initial_concurrency=10)
    permit = aimd.try_acquire(0)
    assert permit is not None
    permit.record(21 * MS)
    assert aimd.limit == 9


def test_a_target_without_effect_is_told():
    with pytest.warns(UserWarning, match="no effect with algorithm vegas"):
        BackpressureController(algorithm="vegas", target_latency_ms=20)


def test_a_permit_counts_once():
    controller = one(initial_concurrency=40)
    permit = controller.try_acquire(0)
    assert permit is not None
    assert permit.acquired_ns == 0
    assert permit.record(MS, dropped=True)
    assert permit.is_settled
    assert permit.acquired_ns is None
    assert not permit.record(MS, dropped=True)
    permit.release()
    assert (controller.limit, controller.in_flight) == (36, 0)


def test_a_permit_of_before_a_reset_changes_nothing():
    controller = one(initial_concurrency=40)
    permit = controller.try_acquire(0)
    assert permit is not None
    controller.reset(0)
    assert not permit.record(MS, dropped=True)
    assert (controller.limit, controller.in_flight, controller.statistics().stale) == (40, 0, 1)


def test_a_dropped_permit_is_released():
    controller = one(initial_concurrency=40)
    permits = taken(controller)
    del permits
    gc.collect()
    assert (controller.in_flight, controller.limit, controller.statistics().released) == (0, 40, 40)


def test_one_that_only_monitors_gates_nothing():
    controller = one(initial_concurrency=20, monitor_only=True)
    permits = [controller.try_acquire(0) for _ in range(100)]
    assert controller.in_flight == 100
    for permit in permits:
        assert permit is not None
        permit.record(MS, dropped=True)
    assert controller.limit == 1
    assert controller.statistics().is_monitor_only


def test_the_limit_found_survives_a_restart():
    controller = one(initial_concurrency=100)
    for permit in taken(controller):
        permit.record(MS)
    kept = json.loads(json.dumps(controller.snapshot()))
    again = one(max_concurrency=1000)
    again.restore(kept, 0)
    assert again.limit == controller.limit == 151
    change = again.explain()
    assert change is not None
    assert change.reason == "restored"
    within = one(max_concurrency=50)
    within.restore(kept, 0)
    assert within.limit == 50
    with pytest.raises(ValueError, match=r"expected a snapshot.*got \{'limit': 0\}"):
        again.restore({"limit": 0}, 0)


@pytest.mark.parametrize("kept", [None, [], "limit", 3])
def test_what_is_no_snapshot_is_told(kept):
    with pytest.raises(ValueError, match="expected a snapshot, a mapping that snapshot\\(\\) has returned, got"):
        one().restore(kept, 0)


def test_a_breaker_freezes_caps_and_restarts_it():
    controller = one(initial_concurrency=40)
    controller.freeze()
    assert controller.next_deadline_ns is None
    for permit in taken(controller):
        permit.record(MS, dropped=True)
    assert (controller.limit, controller.is_frozen) == (40, True)
    controller.cap(3, MS)
    assert len(taken(controller, MS)) == 3
    controller.restart(2 * MS)
    change = controller.explain()
    assert change is not None
    assert (controller.limit, controller.is_frozen, change.reason) == (20, False, "circuit closed")


class Halving:
    """An algorithm of a program's own."""

    def __init__(self, initial: int = 16) -> None:
        self.limit: Any = initial

    def on_sample(self, *, start_ns: int, rtt_ns: int, in_flight: int, dropped: bool = False) -> None:
        self.limit = max(self.limit // 2, 1) if dropped else self.limit + 1


@pytest.fixture
def halving(monkeypatch) -> str:
    monkeypatch.setattr(limits, "_REGISTERED", {})
    limits.register("halving", Halving)
    return "halving"


def test_a_registered_algorithm_is_used_within_the_bounds(halving):
    controller = BackpressureController(algorithm=halving, initial_concurrency=8, min_concurrency=3, max_concurrency=9)
    permits = taken(controller)
    assert len(permits) == 8
    for permit in permits[:3]:
        permit.record(MS)
    assert controller.limit == 9
    for permit in permits[3:]:
        permit.record(MS, dropped=True)
    assert (controller.limit, controller.in_flight) == (3, 0)
    change = controller.explain()
    assert change is not None
    assert (change.reason, change.after) == ("halving", 3)


def test_an_error_of_a_registered_algorithm_is_raised_and_the_permit_is_back(halving):
    class Wrong(Halving):
        def on_sample(self, **_: Any) -> None:
            self.limit = "many"

    limits.register("wrong", Wrong)
    controller = BackpressureController(algorithm="wrong")
    permit = controller.try_acquire(0)
    assert permit is not None
    with pytest.raises(ValueError, match="expected a limit that is an int of 1 or more, got 'many'"):
        permit.record(MS)
    assert (controller.in_flight, controller.limit) == (0, 16)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"algorithm": "magic"}, 'no limit algorithm "magic"; there are adaptive'),
        ({"min_concurrency": 0}, "min_concurrency: expected a whole number from 1 to 1000000, got 0"),
        ({"max_concurrency": 2.5}, r"max_concurrency: expected a whole number from 1 to 1000000, got 2\.5"),
        ({"min_concurrency": 9, "max_concurrency": 4}, "min_concurrency: expected at most max_concurrency"),
        ({"initial_concurrency": 300}, "initial_concurrency: expected a limit from 1 to 200, got 300"),
        ({"target_latency_ms": 0}, "target_latency_ms: expected a number above 0 and at most 86400000, got 0"),
        ({"target_latency_ms": float("nan")}, "target_latency_ms: expected a number"),
        ({"target_latency_ms": True}, "target_latency_ms: expected a number above 0 and at most 86400000, got True"),
        ({"now_ns": -1}, "now_ns: expected a whole number from 0 to 18446744073709551615, got -1"),
        ({"seed": 2**64}, "seed: expected a whole number from 0 to 18446744073709551615, got 18446744073709551616"),
        ({"seed": 0.5}, r"seed: expected a whole number from 0 to 18446744073709551615, got 0\.5"),
        ({"algorithm": "aimd", "backof": 0.7}, 'aimd: unknown parameter "backof"'),
    ],
)
def test_wrong_arguments_are_told(arguments, text):
    with pytest.raises(ValueError, match=text):
        BackpressureController(**arguments)


def test_an_algorithm_is_a_name():
    with pytest.raises(TypeError, match=r"algorithm: expected a name, got None"):
        BackpressureController(algorithm=None)  # type: ignore[arg-type]


def test_randomness_is_a_list():
    def jitter() -> float:
        return 0.5

    with pytest.raises(TypeError, match="expected a list of numbers, which are taken in turn, got a function"):
        BackpressureController(algorithm="vegas", probe_jitter=jitter)  # type: ignore[arg-type]
    assert BackpressureController(algorithm="vegas", probe_jitter=[0.5]).limit == 20


@pytest.mark.parametrize("algorithm", LIMIT_ALGORITHMS)
def test_a_controller_takes_four_kibibytes_at_most(algorithm):
    """Of the whole process: native memory, too, which Python does not trace."""

    def resident() -> int:
        gc.collect()
        fields = dict(line.split(":", 1) for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
        return int(fields["Private_Dirty"].split()[0]) * 1024

    if sys.platform != "linux":
        pytest.skip("reads /proc")
    warm = [BackpressureController(algorithm=algorithm) for _ in range(200)]
    before, count = resident(), 4000
    controllers = [BackpressureController(algorithm=algorithm) for _ in range(count)]
    for controller in controllers:
        permit = controller.try_acquire(0)
        assert permit is not None
        permit.record(MS)
    assert (resident() - before) / count <= 4096
    assert len(warm) == 200


# -- around calls of tasks ---------------------------------------------------------------------------------------------


async def test_tasks_wait_for_permits_first_come_first_served(autojump_clock):
    controller = one("fixed", initial_concurrency=1)
    order: list[int] = []

    async def call(number: int) -> None:
        async with controller:
            order.append(number)
            assert controller.in_flight == 1
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(call, number)
            await trio.testing.wait_all_tasks_blocked()
        assert controller.statistics().waiting == 5
    assert order == list(range(6))
    assert trio.current_time() == pytest.approx(6)
    figures = controller.statistics()
    assert (figures.in_flight, figures.waiting, figures.answered) == (0, 0, 6)


async def test_nobody_overtakes_those_that_wait(autojump_clock):
    controller = one("fixed", initial_concurrency=1)
    order: list[str] = []

    async def call(name: str) -> None:
        async with controller.attempt():
            order.append(name)

    async with trio.open_nursery() as nursery:
        permit = controller.try_acquire(0)
        assert permit is not None
        nursery.start_soon(call, "first")
        await trio.testing.wait_all_tasks_blocked()
        permit.release()  # the first has it now, and has not run yet
        nursery.start_soon(call, "second")
    assert order == ["first", "second"]


async def test_a_cancelled_wait_gives_its_place_up(autojump_clock):
    controller = one("fixed", initial_concurrency=1)
    permit = controller.try_acquire(0)
    assert permit is not None
    with trio.move_on_after(1) as waiting:
        async with controller:
            pytest.fail("there was no permit")
    assert waiting.cancelled_caught
    permit.release()
    assert (controller.statistics().waiting, controller.in_flight) == (0, 0)
    async with controller:
        assert controller.in_flight == 1


async def test_a_permit_that_comes_with_the_cancellation_is_given_back(autojump_clock):
    controller = one("fixed", initial_concurrency=1)
    permit = controller.try_acquire(0)
    assert permit is not None

    async def call() -> None:
        async with controller:
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        permit.release()
    assert (controller.in_flight, controller.statistics().waiting) == (0, 0)


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (None, "answered"),
        (Overloaded(), "dropped"),
        (TimeoutError(), "dropped"),
        (trio.TooSlowError(), "dropped"),
        (ExceptionGroup("", [OSError(), Overloaded()]), "dropped"),
        (OSError("broken"), "answered"),
        (Reject("never"), "answered"),
        (CircuitOpenError("api", 1.0), "released"),
        (KeyboardInterrupt(), "released"),
    ],
)
async def test_the_end_of_a_block_is_a_sample(autojump_clock, error, counted):
    controller = one()
    raised = None
    try:
        async with controller:
            await trio.sleep(0.01)
            if error is not None:
                raise error
    except BaseException as caught:
        raised = caught
    assert raised is error
    figures = controller.statistics()
    assert getattr(figures, counted) == 1
    assert figures.answered + figures.dropped + figures.released == 1
    assert figures.in_flight == 0


@pytest.mark.parametrize("kind", HOSTILE)
async def test_an_error_that_cannot_be_examined_gives_its_permit_back(kind):
    controller = BackpressureController(algorithm="fixed", max_concurrency=1)
    caught: Any = None
    try:
        async with controller.attempt():
            error = HOSTILE[kind]()
            raise error
    except BaseException as raised:
        caught = raised
    assert type(caught) is not Examined
    assert controller.in_flight == 0


async def test_a_cancelled_block_teaches_nothing(autojump_clock):
    controller = one()
    with pytest.raises(OSError, match="made of a cancellation"), trio.move_on_after(1):
        async with controller:
            try:
                await trio.sleep(2)
            except trio.Cancelled:
                raise OSError("made of a cancellation") from None
    assert controller.statistics().released == 1


async def test_a_block_may_give_its_permit_back_itself(autojump_clock):
    controller = one(initial_concurrency=40)
    async with controller.attempt() as permit:
        permit.record(SimulatedClock().monotonic_ns() + MS, dropped=True)
    assert (controller.limit, controller.statistics().answered) == (36, 0)


async def test_a_limit_that_grows_lets_those_in_that_wait(autojump_clock):
    controller = one("fixed", initial_concurrency=4)
    controller.cap(1, 0)
    begun = 0

    async def call() -> None:
        nonlocal begun
        async with controller:
            begun += 1
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        assert begun == 1
        controller.restart(SimulatedClock().monotonic_ns())
        await trio.testing.wait_all_tasks_blocked()
        assert begun == 4


async def test_a_permit_that_a_thread_drops_lets_one_in():
    controller = one("fixed", initial_concurrency=1)
    permits = [controller.try_acquire(0)]

    async def call() -> None:
        async with controller:
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        thread = threading.Thread(target=permits.clear)
        thread.start()
        with trio.fail_after(10):
            while controller.statistics().waiting:
                await trio.sleep(0.001)
        thread.join()


async def test_a_call_is_made_once_and_blocks_nest(autojump_clock):
    controller = one("fixed", initial_concurrency=2)
    call = controller.attempt()
    async with call, controller, trio.open_nursery():
        assert controller.in_flight == 2
    with pytest.raises(RuntimeError, match="this call was made already"):
        async with call:
            pass
    with pytest.raises(RuntimeError, match="was left in another task"):
        await controller.__aexit__(None, None, None)
    assert controller.in_flight == 0


async def test_as_many_run_as_the_limit_says_whatever_is_cancelled(autojump_clock):
    controller = one("adaptive", initial_concurrency=3, max_concurrency=8)
    running = most = 0

    async def call(number: int) -> None:
        nonlocal running, most
        await trio.sleep(number % 7 / 100)
        with trio.move_on_after(0.02 + number % 11 / 50):
            async with controller:
                running += 1
                most = max(most, running)
                assert controller.in_flight >= running
                try:
                    await trio.sleep(0.01 + number % 5 / 50)
                finally:
                    running -= 1

    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(call, number)
    figures = controller.statistics()
    assert (figures.in_flight, figures.waiting) == (0, 0)
    assert most <= figures.greatest_limit
    assert figures.acquired == figures.answered + figures.released
