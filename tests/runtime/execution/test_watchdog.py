"""What does not move is named with who holds it, once, for as long as it does not; and nothing is kept awake for it."""

import contextlib
import logging

import pytest
import trio

from factflow_engine.frames import Frame, pack
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing.virtual_time import in_virtual_time
from factflow_protocols import AdapterResult, CircuitOpenError, RetryLater, StatefulAdapter
from support.elsewhere import Connection
from support.pipelines import load, registry_of, running

SECONDS = "processor: {stall_seconds: 5}\n"
OUT = "r: {adapters: [{type: forward}], outbound: [{queue: /queue/out}]}"
STUCK = "route 'r' holds 4 messages and waits for room in '/queue/out'"


async def never(context):
    await trio.sleep_forever()


async def tick(context):
    await trio.sleep(1)
    return AdapterResult.forward()


def started(routes, **adapters):
    return running(f"{SECONDS}routes: {{{routes}}}", adapters={"never": never, "tick": tick, **adapters}, seconds=5000)


def full(execution):
    """Somebody who reads a queue that has room for one message, and reads none."""
    return execution.subscribe("/queue/out", prefetch=1, capacity=1)


async def publish(execution, count=5, route="r"):
    for number in range(count):
        await execution.publish(route, number)


async def read(reader, count):
    while count > 0:
        deliveries = await reader.receive(count)
        count -= len(deliveries)
        await reader.settle(deliveries)


def barks(caplog):
    return [record for record in caplog.records if "does not move" in record.message or " waits: " in record.message]


async def test_what_moves_again_is_stuck_no_more_and_said_again_if_it_stops_again(autojump_clock, caplog):
    async with started(OUT) as execution, full(execution) as reader:
        await publish(execution)
        await trio.sleep(6)
        assert execution.statistics().stalled == (STUCK,)
        await trio.sleep(600)
        assert execution.statistics().stalled == (STUCK,)
        assert len(barks(caplog)) == 1
        await read(reader, 1)
        for _ in range(4):
            await trio.sleep(1)
            assert execution.statistics().stalled == ()
        await trio.sleep(7)
        assert execution.statistics().stalled == (STUCK.replace("4", "3"),)
        await read(reader, 4)
        await trio.sleep(11)
        assert execution.statistics().stalled == ()
        await publish(execution)
        await trio.sleep(6)
        assert execution.statistics().stalled == (STUCK,)
        assert [record.levelno for record in barks(caplog)][-1] == logging.ERROR
        await read(reader, 5)
        await execution.complete()


@pytest.mark.parametrize("other", ["is busy", "is paused", "is paused and has work"])
async def test_what_another_route_does_hides_nothing(other, autojump_clock):
    async with started(OUT + ", t: {adapters: [{type: tick}], outbound: [{route: t}]}") as execution:
        if other != "is busy":
            execution.pause("t")
        async with full(execution):
            if other != "is paused":
                await execution.publish("t", 1)
            await publish(execution)
            await trio.sleep(12)
            assert execution.statistics().stalled == (STUCK,)
            await execution.cancel()


async def test_who_waits_for_a_route_that_is_paused_says_so_and_the_paused_one_nothing(autojump_clock, caplog):
    routes = "r: {adapters: [{type: forward}], outbound: [{route: t}]}, t: {inbound: {capacity: 1}, adapters: [{type: tick}]}"
    async with started(routes) as execution:
        execution.pause("t")
        await publish(execution)
        await trio.sleep(12)
        assert execution.statistics().stalled == (STUCK.replace("out'", "t' (route 't' is paused)"),)
        [record] = barks(caplog)
        assert record.levelno == logging.WARNING
        execution.resume("t")
        await execution.complete()


async def test_an_adapter_that_takes_long_is_named_with_its_stage_once(autojump_clock, caplog):
    async with started("r: {inbound: {concurrency: 1}, adapters: [{type: forward}, {type: never}]}") as execution:
        await publish(execution)
        await trio.sleep(6)
        assert execution.statistics().stalled == ("route 'r', stage 'never' has had a message for 5 s, and 4 wait",)
        await trio.sleep(600)
        [record] = barks(caplog)
        assert record.levelno == logging.WARNING
        [stalled] = execution.statistics().stalled
        assert stalled != "route 'r', stage 'never' has had a message for 5 s, and 4 wait", "it says for how long"
        await execution.cancel()
        assert execution.statistics().stalled == ()


async def test_an_emission_that_gives_nothing_is_named(autojump_clock):
    async def emit(context):
        async def lines():
            await trio.sleep_forever()
            yield 1

        return AdapterResult(emitted=lines())

    async with started("r: {adapters: [{type: emit}, {type: forward}]}", emit=emit) as execution:
        await publish(execution, 1)
        await trio.sleep(12)
        [stalled] = execution.statistics().stalled
        assert stalled.startswith("route 'r', stage 'emit' has had a message for ")
        await execution.cancel()


@pytest.mark.parametrize("slow", ["a failing adapter", "a source"])
async def test_what_goes_on_is_not_named_however_long_it_takes(slow, autojump_clock):
    async def work(context):
        if slow == "a source":

            async def lines():
                for number in range(100):
                    await trio.sleep(3)
                    yield number

            return AdapterResult(emitted=lines())
        await trio.sleep(3)
        raise OSError("again")

    retries = "error_handling: {max_retries: 90, retry_delay_seconds: 0.001, backoff: fixed, jitter: none}"
    async with started(f"r: {{adapters: [{{type: work}}, {{type: forward}}], {retries}}}", work=work) as execution:
        await publish(execution, 1)
        for _ in range(200):
            await trio.sleep(1)
            assert execution.statistics().stalled == ()
        await execution.cancel()


async def test_a_consumer_from_outside_that_settles_nothing_of_a_routes_queue_is_named(autojump_clock):
    async with started("r: {adapters: [{type: forward}]}") as execution:
        execution.pause("r")
        async with execution.subscribe("/queue/r", subscription="default") as reader, trio.open_nursery() as nursery:
            await publish(execution, 2)
            first, second = await reader.receive(2)
            execution.resume("r")
            nursery.start_soon(execution.complete)
            await trio.sleep(12)
            assert execution.statistics().stalled == (
                "route 'r': a consumer from outside holds 2 messages of '/queue/r'",
            )
            await reader.settle([first])
            assert execution.statistics().stalled == ()
            await reader.settle([second])


async def test_the_waits_of_a_route_with_many_breakers_fit_a_line(autojump_clock):
    async def refuse(context):
        raise CircuitOpenError(f"host {context.message}", retry_after_seconds=1000)

    async with started("r: {inbound: {capacity: 500}, adapters: [{type: refuse}]}", refuse=refuse) as execution:
        await execution.publish_batch("r", list(range(500)))
        await trio.sleep(30)
        [waits] = execution.statistics().stalled
        assert waits.startswith("no message has ended for ")
        assert waits.endswith("; and 497 more waits")
        assert len(waits) < 500
        await execution.cancel(0)


async def test_a_breaker_that_nothing_but_an_operator_can_close_is_named(autojump_clock):
    async def refuse(context):
        raise CircuitOpenError("mains", retry_after_seconds=context.message or None)

    async with started("r: {adapters: [{type: refuse}]}", refuse=refuse) as execution:
        await execution.publish("r", 1000)
        await trio.sleep(30)
        [waits] = execution.statistics().stalled
        assert waits.startswith("no message has ended for ")
        await execution.publish("r", 0)
        await trio.sleep(30)
        stalled, _ = execution.statistics().stalled
        assert stalled.startswith("route 'r', stage 'refuse': 1 messages wait for a circuit breaker that does not say")
        await execution.cancel()


async def test_messages_that_are_tried_again_and_again_are_named_until_one_ends(autojump_clock, caplog):
    """However often they are tried: a route that tries its messages for an hour looked as if it worked."""
    is_down = True

    async def dial(context):
        if is_down and context.message != "ends":
            raise RetryLater(2)
        return AdapterResult.forward()

    async with started("r: {adapters: [{type: dial}]}", dial=dial) as execution:
        await publish(execution, 3)
        await trio.sleep(4)
        assert execution.statistics().stalled == ()
        await trio.sleep(60)
        [stalled] = execution.statistics().stalled
        assert "at r/dial: 3 to be tried again, next in " in stalled
        assert stalled.endswith("(RetryLater: retry in 2 s)")
        assert len(caplog.messages) == 1, "it is said once"
        await execution.publish("r", "ends")
        await trio.testing.wait_all_tasks_blocked()
        assert execution.statistics().stalled == (), "one has ended since"
        is_down = False
        await execution.complete()
    assert execution.statistics().stalled == ()


async def test_a_dead_letter_queue_that_has_no_room_is_named(autojump_clock):
    async def fail(context):
        raise OSError("no")

    routes = "r: {adapters: [{type: fail}], error_handling: {max_retries: 0, dead_letter_queue: /queue/out}}"
    async with started(routes, fail=fail) as execution, full(execution):
        await publish(execution, 3)
        await trio.sleep(12)
        assert execution.statistics().stalled == (
            "route 'r', stage 'fail': 2 messages wait for room in the dead-letter queue '/queue/out'",
        )
        await execution.cancel()


async def test_a_stage_that_does_not_finish_is_named(autojump_clock, caplog):
    class Talks(StatefulAdapter):
        async def process(self, context):
            return None

        async def finish(self):
            await trio.sleep(100)

    async with started("r: {adapters: [{type: talks}]}", talks=Talks) as execution, trio.open_nursery() as nursery:
        await trio.sleep(1000)
        nursery.start_soon(execution.complete)
        await trio.sleep(12)
        [stalled] = execution.statistics().stalled
        assert stalled.startswith("route 'r', stage 'talks' has been finishing for ")
        await trio.sleep(100)
        assert execution.statistics().stalled == ()
    assert len(barks(caplog)) == 1


async def test_whoever_waits_for_the_end_at_once_is_told_as_well(autojump_clock, caplog):
    class Talks(StatefulAdapter):
        async def process(self, context):
            return None

        async def finish(self):
            await trio.sleep(100)

    async with started("r: {adapters: [{type: talks}]}", talks=Talks) as execution:
        await execution.complete()
    assert len(barks(caplog)) == 1


async def test_what_was_left_at_the_beginning_is_not_what_is_left(autojump_clock):
    registry = registry_of()
    store = MemoryQueue()
    config = load(registry, SECONDS + "routes: {r: {adapters: [{type: forward}]}}")
    for _ in range(2):
        async with OrchestratorManager(registry=registry, queue=Connection(store)) as manager:
            execution = await manager.start(config, execution_id="x")
            execution.pause()
            await publish(execution)
            execution.resume()
            await trio.sleep(100)
            assert execution.statistics().stalled == ()
            execution.pause()
            await publish(execution)
            await execution.cancel()


class Silent(Connection):
    """A provider that does not answer one kind of question."""

    what = ""

    @contextlib.asynccontextmanager
    async def subscribe(self, queue, subscription, prefetch, capacity=None):
        async with super().subscribe(queue, subscription, prefetch, capacity) as inner:
            for name in ("settle", "receive", "depth"):
                setattr(inner, name, self._answering(name, getattr(inner, name)))
            yield inner

    def _answering(self, name, call):
        async def answer(*arguments):
            if name == self.what:
                await trio.sleep_forever()
            return await call(*arguments)

        return answer


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("settle", "the provider does not answer what is acknowledged of 'exec:x:/queue/r'"),
        ("receive", "the provider hands out none of its 1 messages, unless to other consumers"),
        ("depth", "the provider does not answer how many messages are left"),
    ],
)
async def test_a_provider_that_does_not_answer_is_named(what, said, autojump_clock, caplog):
    registry = registry_of()
    provider = Silent(MemoryQueue())
    async with OrchestratorManager(registry=registry, queue=provider) as manager, trio.open_nursery() as nursery:
        if what == "receive":
            provider.what = what
        config = load(registry, SECONDS + "routes: {r: {adapters: [{type: forward}]}}")
        execution = await manager.start(config, execution_id="x")
        provider.what = what
        await execution.publish("r", 1)
        nursery.start_soon(execution.complete)
        await trio.sleep(60)
        assert execution.statistics().stalled == (said,)
        [record] = barks(caplog)
        assert record.levelno == (logging.WARNING if what == "receive" else logging.ERROR)
        await execution.cancel()


async def test_a_provider_that_does_not_answer_what_others_have_is_named(autojump_clock):
    class Asked(Silent):
        @contextlib.asynccontextmanager
        async def subscribe(self, queue, subscription, prefetch, capacity=None):
            async with super().subscribe(queue, subscription, prefetch, capacity) as inner:
                inner.leased_elsewhere = trio.sleep_forever
                yield inner

    registry, store = registry_of(), MemoryQueue()
    await store.publish("exec:x:/queue/r", Frame.create(pack(1), message_id=b"1" * 16))
    async with (
        store.subscribe("exec:x:/queue/r", "", 10) as other,
        OrchestratorManager(registry=registry, queue=Asked(store)) as manager,
        trio.open_nursery() as nursery,
    ):
        await other.receive(10)
        execution = await manager.start(
            load(registry, SECONDS + "routes: {r: {adapters: [{type: forward}]}}"), execution_id="x"
        )
        nursery.start_soon(execution.complete)
        await trio.sleep(60)
        assert execution.statistics().stalled == ("the provider does not answer what other consumers have",)
        await execution.cancel()


async def test_no_value_of_the_environment_is_in_what_is_said(autojump_clock, caplog, monkeypatch):
    monkeypatch.setenv("PW", "hunter2secret")
    async with (
        started(OUT.replace("/queue/out", '"/queue/${PW}"')) as execution,
        execution.subscribe("/queue/hunter2secret", prefetch=1, capacity=1),
    ):
        await publish(execution)
        await trio.sleep(12)
        assert execution.statistics().stalled == (STUCK.replace("/out", "/${PW}"),)
        assert "hunter2" not in caplog.text
        await execution.cancel()


@pytest.mark.parametrize("work", ["waits for room", "is in an adapter", "none"])
def test_a_virtual_clock_is_not_kept_awake(work):
    async def main(simulation):
        text = f"{SECONDS}routes: {{{OUT if work == 'waits for room' else 'r: {adapters: [{type: never}]}'}}}"
        registry = registry_of(never=never)
        async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
            execution = await manager.start(load(registry, text))
            async with full(execution):
                if work != "none":
                    await publish(execution)
                with trio.move_on_after(1e9):
                    await trio.sleep_forever()
                # Nobody has any deadline but this test: whatever ends is ended by it.
                deadline = trio.lowlevel.current_statistics().seconds_to_next_deadline
                stalled = execution.statistics().stalled
                await execution.cancel()
        return deadline, bool(stalled)

    assert in_virtual_time(main, seed=1) == (float("inf"), work != "none")


async def test_a_source_that_says_something_now_and_then_is_named_once(autojump_clock, caplog):
    async def emit(context):
        async def lines():
            while True:
                await trio.sleep(60)
                yield 1

        return AdapterResult(emitted=lines())

    async with started("r: {adapters: [{type: emit}, {type: forward}]}", emit=emit) as execution:
        await publish(execution, 1)
        await trio.sleep(3600)
        assert len(barks(caplog)) == 1
        await execution.cancel()
