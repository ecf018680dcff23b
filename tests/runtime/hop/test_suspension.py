"""`Suspension`, by hand: what passes between trio and a coroutine that waits, and what becomes of the worker's turn."""

import gc
import traceback
import types
import weakref
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from factflow_engine.frames import Frame, pack
from factflow_engine.native import STEP_ENDED, STEP_RETURNED, STEP_SUSPENDED, Child, Worker, WorkerPool
from factflow_protocols import AdapterResult
from support.floods import WorkClock
from support.internals import is_worker, route_of
from support.pipelines import running
from support.tasks import all_tasks

QUANTUM_NS = 1000


@types.coroutine
def ask(question):
    """Awaits what no framework gives but the test."""
    return (yield question)


class Hand:
    """A route whose messages the test carries itself; the loop is never told of them."""

    def __init__(self, route, clock):
        self.carrier = route.carrier
        self.counters = route.counters
        self.clock = clock
        self.worker = Worker(quantum_ns=QUANTUM_NS, quantum_turns=100)
        self.worker.enter(clock.monotonic_ns())
        self.ready, self.woken = [], 0
        self.pool = WorkerPool(ready=self.ready, parked=[1], workers=[], most=1, wake=self._wake)

    def _wake(self):
        self.woken += 1

    def begin(self, value, *, alone=True):
        """Begin a message that waits, and wait for it."""
        frame = Frame.create(pack(value), message_id=bytes(15) + b"\1")
        assert self.carrier.begin(self.worker, Child(frame, 0, None)) == STEP_SUSPENDED
        return self.carrier.waited(self.worker, self.pool, alone).__await__()


@asynccontextmanager
async def hand(stage, *, waiting=()):
    clock = WorkClock()
    async with running(
        "routes: {r: {adapters: [{type: stage}], outbound: [{queue: /queue/out}]}}",
        adapters={"stage": stage},
        seams=clock.seams,
    ) as execution:
        execution.pause()
        for value in waiting:
            execution.publish_nowait("r", value)
        await trio.testing.wait_all_tasks_blocked()
        route = route_of(execution, "r")
        route.pauses.clear()  # unlike `resume`, this tells nobody
        try:
            yield Hand(route, clock)
        finally:
            route.pauses.add("the test has ended")
            await execution.cancel()


def ended_with(step):
    return pytest.raises(StopIteration, match=f"^{step}$")


async def twice(context):
    answer = await ask("first")
    answer = await ask(("second", answer))
    return AdapterResult(message=answer)


@pytest.mark.parametrize("first", ["next", "send"])
async def test_what_the_coroutine_gives_is_given_on_and_what_it_is_sent_goes_back(first):
    async with hand(twice) as by:
        waits = by.begin(0)
        assert (next(waits) if first == "next" else waits.send(None)) == "first"
        assert waits.send("one") == ("second", "one")
        with ended_with(STEP_ENDED):
            waits.send("two")
        assert by.counters.completed == 1


async def test_what_is_not_the_carriers_to_judge_comes_back_as_its_step():
    async def headers(context):
        await ask("it")
        return AdapterResult(message=1, headers={"a": 1})

    async with hand(headers) as by:
        waits = by.begin(0)
        next(waits)
        with ended_with(STEP_RETURNED):
            next(waits)
        assert by.worker.value.message == 1


async def test_whoever_waits_is_not_active_and_whoever_goes_on_is():
    active = []

    async def looks(context):
        await ask("it")
        active.append(by.pool.active)
        try:
            await ask("again")
        except OSError:
            active.append(by.pool.active)
        return AdapterResult.forward()

    async with hand(looks) as by:
        waits = by.begin(0)
        by.pool.active = by.worker
        next(waits)
        assert by.pool.active is None
        next(waits)
        assert by.pool.active is None
        assert by.woken == 0
        by.ready.append("a route")
        with ended_with(STEP_ENDED):
            waits.throw(OSError())
        assert active == [by.worker, by.worker]
        assert by.pool.active is by.worker, "it goes on"
        assert by.woken == 0


async def test_each_time_that_a_worker_waits_it_wakes_another_if_there_is_work():
    async with hand(twice) as by:
        waits = by.begin(0)
        by.ready.append("a route")
        next(waits)
        assert by.woken == 1
        waits.send(1)
        assert by.woken == 2


@pytest.mark.parametrize("alone", [True, False])
async def test_a_turn_goes_on_behind_the_message_that_waited_unless_that_was_alone(alone):
    async def waits_for_0(context):
        if context.message == 0:
            await ask("it")
        return AdapterResult.forward()

    async with hand(waits_for_0, waiting=[1, 2, 3]) as by:
        by.worker.left = 2
        waits = by.begin(0, alone=alone)
        next(waits)
        with ended_with(STEP_ENDED):
            next(waits)
        assert by.counters.completed == (1 if alone else 3)
        assert by.worker.left == (2 if alone else 0)


async def test_a_turn_that_goes_on_begins_another_quantum_and_its_next_message_then():
    since = []

    async def waits_for_0(context):
        if context.message == 0:
            await ask("it")
        since.append(context.begun_ns)
        return AdapterResult.forward()

    async with hand(waits_for_0, waiting=[1, 2, 3]) as by:
        by.worker.left = 3
        waits = by.begin(0, alone=False)
        next(waits)
        by.clock.now_ns += 5 * QUANTUM_NS
        now = by.clock.now_ns
        with ended_with(STEP_ENDED):
            next(waits)
        assert by.worker.until_ns == now + QUANTUM_NS
        assert since == [now - 5 * QUANTUM_NS, now, now, now]


async def test_messages_of_one_turn_that_wait_are_waited_for_by_one_suspension():
    async def waits(context):
        await ask(context.message)
        return AdapterResult.forward()

    async with hand(waits, waiting=[1, 2]) as by:
        by.worker.left = 2
        suspension = by.begin(0, alone=False)
        assert [next(suspension) for _ in range(3)] == [0, 1, 2]
        with ended_with(STEP_ENDED):
            next(suspension)
        assert by.counters.completed == 3


@pytest.mark.parametrize("open_", [True, False])
async def test_a_turn_goes_on_only_if_the_route_still_takes_messages_then(open_):
    async with hand(twice, waiting=[1]) as by:
        by.worker.left = 1
        suspension = by.begin(0, alone=False)
        next(suspension)
        suspension.send(1)
        by.carrier.intake_closed = not open_
        if open_:
            assert suspension.send(2) == "first"
        else:
            with ended_with(STEP_ENDED):
                suspension.send(2)
        assert by.counters.received == (1 if open_ else 0)


class Raised(Exception):
    pass


@pytest.mark.parametrize("form", ["instance", "type", "three"])
async def test_what_is_thrown_is_raised_where_the_coroutine_waits(form):
    raised = []

    async def catches(context):
        try:
            await ask("it")
        except Raised as error:
            raised.append(error)
        assert await ask("again") == "answer"
        return AdapterResult.forward()

    error = Raised("words")
    given = {"instance": (error,), "type": (Raised,), "three": (Raised, error, None)}[form]
    async with hand(catches) as by:
        waits = by.begin(0)
        next(waits)
        assert waits.throw(*given) == "again", "it waits for something else"
        assert len(raised) == 1
        assert (raised[0] is error) == (form != "type")
        with ended_with(STEP_ENDED):
            waits.send("answer")


@pytest.mark.parametrize("error", [Raised("words"), KeyboardInterrupt(), GeneratorExit()], ids=repr)
async def test_what_the_coroutine_does_not_catch_comes_back_and_the_message_is_still_held(error):
    async with hand(twice) as by:
        waits = by.begin(0)
        next(waits)
        with pytest.raises(type(error)) as caught:
            waits.throw(error)
        assert caught.value is error
        assert by.worker.context.message == 0
        assert by.worker.pending is None
        assert by.counters.completed == 0


async def test_a_coroutine_that_is_closed_cleans_up_there_and_then():
    cleaned = []

    async def cleans(context):
        try:
            await ask("it")
        except GeneratorExit as error:
            cleaned.append(error)
            raise

    async with hand(cleans) as by:
        waits = by.begin(0)
        next(waits)
        coroutine = by.worker.pending  # so that it does not go, which closes it too
        waits.close()
        assert len(cleaned) == 1
        assert coroutine.cr_frame is None
        assert by.worker.context.message == 0, "the loop gives it back"


async def test_a_coroutine_that_goes_on_waiting_when_it_is_closed_is_told_off():
    async def clings(context):
        try:
            await ask("it")
        except GeneratorExit:
            await ask("more")

    async with hand(clings) as by:
        waits = by.begin(0)
        next(waits)
        with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
            waits.close()


async def test_the_coroutine_that_awaits_a_suspension_passes_on_throw_and_close():
    events = []

    async def catches(context):
        try:
            await ask("it")
        except Raised:
            events.append("thrown")
        try:
            await ask("again")
        finally:
            events.append("closed")

    async def outer(waits):
        await waits

    async with hand(catches) as by:
        by.begin(0)
        coroutine = outer(by.carrier.waited(by.worker, by.pool, True))
        assert coroutine.send(None) == "it"
        assert coroutine.throw(Raised()) == "again"
        coroutine.close()
        assert events == ["thrown", "closed"]


async def test_who_awaits_a_suspension_is_given_its_step_and_what_it_is_sent_goes_back():
    """Through the slot that `await` uses, and no method."""

    async def asks_until_it_hears_enough(context):
        heard = []
        while heard[-1:] != ["enough"]:
            heard.append(await ask(len(heard)))
        return AdapterResult(message=heard, headers={"a": "b"})

    async def outer(waits):
        return await waits

    async with hand(asks_until_it_hears_enough) as by:
        by.begin(0)
        coroutine = outer(by.carrier.waited(by.worker, by.pool, True))
        assert coroutine.send(None) == 0
        assert coroutine.send("a word") == 1
        assert coroutine.send(None) == 2
        with ended_with(STEP_RETURNED):
            coroutine.send("enough")
        assert by.worker.value.message == ["a word", None, "enough"]


async def test_who_awaits_a_suspension_hears_what_is_raised():
    async def raises(context):
        await ask("it")
        raise Raised("words")

    async def outer(waits):
        return await waits

    async with hand(raises) as by:
        by.begin(0)
        coroutine = outer(by.carrier.waited(by.worker, by.pool, True))
        coroutine.send(None)
        with pytest.raises(Raised, match="words"):
            coroutine.send(1)
        by.worker.pending = None
        coroutine = outer(by.carrier.waited(by.worker, by.pool, True))
        coroutine.send(None)
        with pytest.raises(RuntimeError, match="waits for nothing"):
            coroutine.send(1)


async def test_a_suspension_for_a_worker_that_waits_for_nothing_says_so():
    async with hand(twice) as by:
        waits = by.begin(0)
        next(waits)
        by.worker.pending = None
        for act in (lambda: waits.send(1), lambda: waits.throw(Raised()), waits.close):
            with pytest.raises(RuntimeError, match="waits for nothing"):
                act()


async def test_a_coroutine_that_has_its_own_suspension_goes_with_it():
    """Through worker, coroutine and frame: only the collector can end such a circle."""

    class Part:
        pass

    part = Part()
    gone = weakref.ref(part)

    async def waits(held):
        await ask(held)

    async with hand(twice) as by:
        part.suspension = by.begin(0)
        next(part.suspension)
        part.pool = by.pool
        by.worker.pending = waits(part)
        by.worker.pending.send(None)
        by.pool.active = by.worker
        by.worker = by.pool = part = None
        gc.collect()
        assert gone() is None


async def test_an_adapter_that_has_a_suspension_of_its_route_goes_with_it():
    class Part:
        pass

    def circle():
        part = Part()

        async def keeps(context):
            await ask(part)

        return part, keeps

    part, keeps = circle()
    gone = weakref.ref(part)
    async with hand(keeps) as by:
        part.suspension = by.begin(0)
        assert next(part.suspension) is part
        part.suspension.close()
    del part, keeps, by
    gc.collect()
    assert gone() is None


async def test_who_asks_where_a_task_waits_is_shown_the_adapter(autojump_clock):
    async def deep():
        await trio.sleep(10)

    async def stage(context):
        await deep()

    async with running("routes: {r: {adapters: [{type: stage}]}}", adapters={"stage": stage}) as execution:
        await execution.publish("r", 0)
        await trio.sleep(1)
        [worker] = [task for task in all_tasks() if is_worker(task)]
        names = [frame.name for frame in traceback.StackSummary.extract(worker.iter_await_frames())]
        await execution.complete()
    assert "_run_worker" in names
    assert names.index("_run_worker") < names.index("deep") < names.index("sleep")
