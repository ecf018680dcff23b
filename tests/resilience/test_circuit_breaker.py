"""The breaker around calls of trio tasks: what each way of leaving the block does."""

import functools
import gc

import pytest
import trio
import trio.testing

from factflow_engine.config import CircuitBreakerConfig
from factflow_engine.errors import CircuitTransitionError
from factflow_engine.resilience import CircuitBreaker, CircuitBreakerSettings, CircuitState
from factflow_engine.testing.virtual_time import SimulatedClock, SimulatedRandomness
from factflow_protocols import CircuitOpenError, EngineInstruction, Reject

SECOND = 1_000_000_000
SMALL = CircuitBreakerSettings(
    sliding_window_size=4,
    minimum_calls=2,
    wait_jitter=0.0,
    permitted_calls_in_half_open=2,
    slow_call_duration_seconds=1.0,
)


@pytest.fixture
def breaker() -> CircuitBreaker:
    return CircuitBreaker(SMALL, name="api", clock=SimulatedClock(), randomness=SimulatedRandomness(1))


def now() -> int:
    return SimulatedClock().monotonic_ns()


async def fail(breaker: CircuitBreaker, error: BaseException | None = None) -> None:
    with pytest.raises(Exception, match="broken"):
        async with breaker:
            raise error or OSError("broken")


async def test_a_block_that_ends_is_a_success_and_its_duration_is_measured(autojump_clock, breaker):
    async with breaker:
        await trio.sleep(1)
    async with breaker:
        await trio.sleep(1.5)
    stats = breaker.stats()
    assert (stats.calls, stats.failed, stats.slow, stats.totals.in_flight) == (2, 0, 1, 0)


async def test_failures_open_it_and_calls_are_refused_with_when_to_come_back(autojump_clock, breaker):
    await fail(breaker)
    await fail(breaker)
    assert breaker.state is CircuitState.OPEN
    await trio.sleep(2)
    entered = False
    with pytest.raises(CircuitOpenError) as caught:
        async with breaker:
            entered = True
    assert not entered
    assert caught.value.name == "api"
    assert caught.value.retry_after_seconds == pytest.approx(3)
    assert isinstance(caught.value, EngineInstruction)
    await trio.sleep(caught.value.retry_after_seconds)
    async with breaker:
        assert breaker.state is CircuitState.HALF_OPEN
    async with breaker:
        pass
    assert breaker.state is CircuitState.CLOSED


async def test_a_refusal_that_only_an_operator_can_end_names_no_time(autojump_clock, breaker):
    breaker.transition_to(CircuitState.FORCED_OPEN, now())
    with pytest.raises(CircuitOpenError, match="until somebody moves it") as caught:
        breaker.acquire_nowait()
    assert caught.value.retry_after_seconds is None


async def test_cancelling_the_body_records_nothing_and_gives_the_permit_back(autojump_clock, breaker):
    with trio.move_on_after(7):
        async with breaker:
            await trio.sleep_forever()
    stats = breaker.stats()
    assert (stats.calls, stats.totals.released, stats.totals.in_flight) == (0, 1, 0)


async def test_cancelling_trial_calls_leaves_their_places_to_others(autojump_clock, breaker):
    breaker.transition_to(CircuitState.OPEN, now())
    breaker.transition_to(CircuitState.HALF_OPEN, now())
    for _ in range(5):
        with trio.move_on_after(1):
            async with breaker:
                await trio.sleep_forever()
    assert breaker.stats().trial_places == 2
    assert breaker.state is CircuitState.HALF_OPEN


async def test_a_task_cancelled_on_its_way_in_takes_no_permit(autojump_clock, breaker):
    with trio.CancelScope() as scope:
        scope.cancel()
        async with breaker:
            raise AssertionError("a cancelled task must not get in")
    assert scope.cancelled_caught
    assert breaker.stats().totals.permitted == 0


async def test_a_cancelled_group_records_nothing_and_one_with_a_failure_is_one(autojump_clock, breaker):
    with trio.move_on_after(1):
        async with breaker, trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(trio.sleep_forever)
    assert breaker.stats().totals.released == 1

    async def broken() -> None:
        raise OSError("broken")

    with pytest.RaisesGroup(OSError):
        async with breaker, trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(broken)
    assert breaker.stats().failed == 1


async def test_an_instruction_to_the_engine_is_no_failure(autojump_clock, breaker):
    for _ in range(3):
        with pytest.raises(Reject):
            async with breaker:
                raise Reject("not for us")
    assert (breaker.stats().calls, breaker.stats().totals.ignored) == (0, 3)


async def test_a_trial_call_that_hangs_loses_its_place_when_its_lease_ends(autojump_clock, breaker):
    breaker.transition_to(CircuitState.OPEN, now())
    breaker.transition_to(CircuitState.HALF_OPEN, now())
    async with trio.open_nursery() as nursery:

        async def hang(seconds: float) -> None:
            async with breaker:
                await trio.sleep(seconds)

        nursery.start_soon(hang, 100)
        nursery.start_soon(hang, 100)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(CircuitOpenError):
            breaker.acquire_nowait()
        await trio.sleep(30)
        for _ in range(2):
            async with breaker:
                pass
        assert breaker.state is CircuitState.CLOSED
    # The two came late: slow, and counted for life alone.
    stats = breaker.stats()
    assert (stats.totals.stale, stats.totals.leases_expired, stats.calls, stats.totals.slow) == (2, 2, 0, 2)


async def test_many_tasks_and_blocks_within_blocks_share_one_breaker(autojump_clock, breaker):
    async def call(seconds: float) -> None:
        async with breaker:
            async with breaker:
                await trio.sleep(seconds)
            await trio.sleep(seconds)

    async with trio.open_nursery() as nursery:
        for index in range(20):
            nursery.start_soon(call, (1 + index) / 100)
        await trio.testing.wait_all_tasks_blocked()
        assert breaker.stats().totals.in_flight == 40
    totals = breaker.stats().totals
    assert (totals.succeeded, totals.in_flight) == (40, 0)
    assert not breaker._entered


async def test_the_body_may_say_itself_what_came_of_the_call(autojump_clock, breaker):
    async with breaker as permit:
        permit.record_failure(now(), 0)
    async with breaker as permit:
        permit.release()
    totals = breaker.stats().totals
    assert (totals.failed, totals.released, totals.succeeded) == (1, 1, 0)


async def test_a_failures_own_wait_lengthens_the_opening(autojump_clock, breaker):
    error = OSError("broken")
    error.retry_after_seconds = 40
    await fail(breaker, error)
    await fail(breaker)
    assert breaker.retry_after_ns(now()) == 40 * SECOND + 1


async def test_a_section_of_a_configuration_makes_a_breaker():
    section = CircuitBreakerConfig(minimum_calls=1, wait_duration_seconds=3.0, ignore_errors=("KeyError",))
    breaker = CircuitBreaker(section)
    permit = breaker.try_acquire(0)
    assert permit is not None
    permit.record(0, 0, KeyError())
    assert breaker.state is CircuitState.CLOSED
    permit = breaker.try_acquire(0)
    assert permit is not None
    permit.record(0, 0, OSError())
    assert breaker.state is CircuitState.OPEN
    assert 2.7 * SECOND <= breaker.retry_after_ns(0) <= 3 * SECOND + 1


def test_a_permit_is_given_back_once():
    breaker = CircuitBreaker(SMALL)
    permit = breaker.try_acquire(5)
    assert (permit.is_settled, permit.acquired_ns) == (False, 5)
    assert permit.record(6, 1) is True
    assert permit.is_settled
    permit.release()
    for again in (
        lambda: permit.record(6, 1),
        lambda: permit.record(6, 1, OSError()),
        lambda: permit.record_failure(6, 1),
    ):
        with pytest.raises(RuntimeError, match="recorded or released once"):
            again()
    assert breaker.stats().calls == 1


def test_a_permit_that_is_dropped_is_given_back_and_keeps_nothing_alive():
    breaker = CircuitBreaker(SMALL, name="kept by nobody")
    permits = [breaker.try_acquire(0) for _ in range(3)]
    assert breaker.stats().totals.in_flight == 3
    del permits
    assert breaker.stats().totals.in_flight == 0
    # Also where the permit and its breaker only hold each other.
    breaker.events.subscribe(functools.partial(print, breaker.try_acquire(0)))
    del breaker
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, CircuitBreaker) and one.name == "kept by nobody"]


def test_moves_by_hand_that_are_not_allowed_say_so_and_change_nothing():
    breaker = CircuitBreaker(SMALL, name="api")
    before = breaker.stats()
    with pytest.raises(CircuitTransitionError, match=r"'api' is closed and cannot be moved to half_open") as caught:
        breaker.transition_to(CircuitState.HALF_OPEN, 9)
    assert (caught.value.from_state, caught.value.to_state) == ("closed", "half_open")
    breaker.transition_to(CircuitState.METRICS_ONLY, 0)
    with pytest.raises(CircuitTransitionError):
        breaker.transition_to_open_for(5, 9)
    assert before.state is CircuitState.CLOSED
    assert breaker.stats().since_ns == 0
    with pytest.raises(ValueError, match=r"expected closed, open, half_open, .*, got \"ajar\""):
        breaker.transition_to("ajar", 0)
    breaker.transition_to(CircuitState.DISABLED, 0)
    breaker.transition_to_open_for(5, 0)
    assert breaker.retry_after_ns(0) == 5 * SECOND + 1


def test_breakers_with_the_same_randomness_wait_alike_and_others_do_not():
    def wait(seed: int) -> int:
        breaker = CircuitBreaker(CircuitBreakerSettings(wait_jitter=0.5), randomness=SimulatedRandomness(seed))
        breaker.transition_to(CircuitState.OPEN, 0)
        return breaker.next_deadline_ns

    assert wait(1) == wait(1)
    assert len({wait(seed) for seed in range(20)}) == 20
    assert all(2.5 * SECOND <= wait(seed) <= 5 * SECOND + 1 for seed in range(20))


def test_a_single_breaker_gives_the_metrics_of_its_stage():
    breaker = CircuitBreaker(SMALL, name="api")
    breaker.transition_to(CircuitState.OPEN, 0)
    metrics = breaker.metrics()
    assert (metrics.name, metrics.states, metrics.is_open) == ("api", {CircuitState.OPEN: 1}, True)
    assert metrics.circuits == {"": breaker.stats()}
    assert repr(breaker) == "<CircuitBreaker 'api' open>"


async def test_a_block_whose_task_is_cancelled_counts_as_nothing_whatever_it_raises(autojump_clock, breaker):
    with trio.move_on_after(1), pytest.raises(OSError, match="made of"):
        async with breaker:
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                raise OSError("made of a cancellation") from None
    totals = breaker.stats().totals
    assert (totals.released, totals.failed, totals.in_flight) == (1, 0, 0)


async def test_calls_of_generators_keep_their_own_permits(autojump_clock, breaker):
    async def stream(fails):
        async with breaker.call():
            yield 1
            if fails:
                raise OSError("broken")

    old, other = stream(fails=True), stream(fails=True)
    await anext(old)
    await anext(other)
    await fail(breaker)
    await fail(breaker)
    await trio.sleep(61)
    trial = stream(fails=False)
    await anext(trial)
    with pytest.raises(OSError, match="broken"):
        await anext(old)
    assert (breaker.state, breaker.stats().totals.stale) == (CircuitState.HALF_OPEN, 1)
    assert [one async for one in trial] == []
    assert (breaker.stats().calls, breaker.stats().failed) == (1, 0)
    await other.aclose()


async def test_a_block_that_is_left_in_another_task_says_what_to_write(autojump_clock, breaker):
    async with breaker.call():
        pass
    await breaker.__aenter__()

    async def leave():
        with pytest.raises(RuntimeError, match=r"breaker\.call\(\)"):
            await breaker.__aexit__(None, None, None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
    await breaker.__aexit__(None, None, None)
    assert breaker.stats().totals.in_flight == 0


async def test_a_call_is_entered_once(autojump_clock, breaker):
    call = breaker.call()
    async with call:
        with pytest.raises(RuntimeError, match="made already"):
            async with call:
                raise AssertionError("never")
    assert breaker.stats().totals.in_flight == 0


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan"), 1e300])
def test_opening_by_hand_needs_a_time(breaker, seconds):
    with pytest.raises(ValueError, match="FORCED_OPEN"):
        breaker.transition_to_open_for(seconds, 0)
    assert breaker.state is CircuitState.CLOSED
