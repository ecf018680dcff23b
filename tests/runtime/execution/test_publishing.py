"""Publishing to a route: what is taken natively, at once, is what the slow way would have taken."""

from contextlib import suppress

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.errors import CodecError, ExecutionClosedError, UnknownRouteError
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, QueueFullError
from support.internals import lifecycle_of, refuse_offers, routes_of
from support.pipelines import load, registry_of, running

PIPELINE = """
routes:
  a: {inbound: {capacity: 4}}
  b: {inbound: {queue: /topic/b, subscription: one, capacity: 2}}
  c: {inbound: {queue: /topic/b, subscription: two, capacity: 3}}
"""


class Text(str):
    __slots__ = ()


VALUES = st.none() | st.integers(-5, 2**65) | st.text(max_size=3) | st.builds(object) | st.lists(st.binary(max_size=2))
HEADERS = st.none() | st.dictionaries(st.text(max_size=2), VALUES, max_size=2) | st.just({"long": "x" * 70_000})
KEYS = (
    st.none() | st.text(max_size=3) | st.builds(Text, st.text(max_size=3)) | st.sampled_from([7, "\ud800", "k" * 2000])
)
PUBLISHED = st.tuples(st.sampled_from(["a", "b", "c", "none", 7]), VALUES, HEADERS, KEYS)
STEPS = st.lists(PUBLISHED | st.sampled_from(["drain", "empty"]), max_size=20)


def run_steps(steps, *, slowly, awaited):
    """Publish to paused routes; return what came of each step, and what waits in the end."""

    async def main(simulation):
        registry, said = registry_of(), []
        async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
            execution = await manager.start(load(registry, PIPELINE))
            execution.pause()
            if slowly:
                refuse_offers(execution)
            async with trio.open_nursery() as nursery:
                for step in steps:
                    if step == "drain":
                        nursery.start_soon(execution.drain)
                        await trio.sleep(0.1)
                    elif step == "empty":
                        for route in routes_of(execution):
                            while route.inbound.take():
                                pass
                    else:
                        said.append(await _published(execution, step, awaited=awaited))
                waiting = [_seen(frame) for route in routes_of(execution) for frame in route.inbound.frames()]
                await execution.cancel()
        return said, waiting

    return in_virtual_time(main, seed=1)


async def _published(execution, step, *, awaited):
    route, payload, headers, key = step
    try:
        if awaited:
            with trio.move_on_after(1):
                return len(await execution.publish(route, payload, headers=headers, key=key))
            return "waited"
        return len(execution.publish_nowait(route, payload, headers=headers, key=key))
    except Exception as error:
        return type(error), str(error)


def _seen(frame):
    assert frame.correlation_id == frame.message_id
    assert frame.parent_id is None
    return frame.payload, dict(frame.headers), frame.key, type(frame.key), frame.attempt, frame.time_ns


@given(STEPS, st.booleans())
def test_what_is_offered_is_taken_as_what_is_published_slowly(steps, awaited):
    assert run_steps(steps, slowly=False, awaited=awaited) == run_steps(steps, slowly=True, awaited=awaited)


async def test_ids_are_in_order_whichever_way_messages_went(autojump_clock):
    async with running(PIPELINE) as execution:
        execution.pause()
        ids = [execution.publish_nowait("a", 1), await execution.publish("a", 2), execution.publish_nowait("a", 3)]
        ids += await execution.publish_batch("a", [4])
        assert ids == sorted(set(ids))
        assert ids == [frame.message_id.hex() for frame in routes_of(execution)[0].inbound.frames()]
        await execution.cancel()


class Meddling:
    """Headers that do something while they are encoded."""

    def __init__(self, act):
        self._act = act

    def keys(self):
        self._act()
        return ["a"]

    def __getitem__(self, name):
        return 1

    def __len__(self):
        return 1


@pytest.mark.parametrize("awaited", [False, True])
async def test_a_payload_that_closes_the_execution_while_it_is_encoded_is_not_taken(awaited, autojump_clock):
    async with running(PIPELINE) as execution:
        headers = Meddling(lambda: lifecycle_of(execution).request_stop(0.0))
        with pytest.raises(ExecutionClosedError):
            if awaited:
                await execution.publish("a", 1, headers=headers)
            else:
                execution.publish_nowait("a", 1, headers=headers)
        assert not routes_of(execution)[0].inbound.waiting


@pytest.mark.parametrize("awaited", [False, True])
async def test_a_message_that_fills_the_queue_while_it_is_encoded_finds_it_full(awaited, autojump_clock):
    def fill():
        with suppress(QueueFullError):
            while True:
                execution.publish_nowait("a", "another")

    headers = Meddling(fill)
    async with running(PIPELINE) as execution:
        execution.pause()
        inbound = routes_of(execution)[0].inbound
        if awaited:
            with trio.move_on_after(1) as scope:
                await execution.publish("a", 1, headers=headers)
            assert scope.cancelled_caught
        else:
            with pytest.raises(QueueFullError):
                execution.publish_nowait("a", 1, headers=headers)
        assert [frame.value() for frame in inbound.frames()] == ["another"] * 4
        await execution.cancel()


async def test_a_cancelled_publish_is_not_published(autojump_clock):
    async with running(PIPELINE) as execution:
        execution.pause()
        with trio.CancelScope() as scope:
            scope.cancel()
            await execution.publish("a", 1)
        assert scope.cancelled_caught
        assert not routes_of(execution)[0].inbound.waiting
        await execution.cancel()


async def test_what_is_published_stays_so_if_it_is_cancelled_from_then_on(autojump_clock):
    async with running(PIPELINE) as execution:
        execution.pause()
        inbound = routes_of(execution)[0].inbound
        with trio.CancelScope() as scope:
            inbound.listen(scope.cancel)
            assert await execution.publish("a", 1) == inbound.frames()[0].message_id.hex()
            assert scope.cancel_called
            await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        inbound.unlisten(scope.cancel)
        await execution.cancel()


async def test_refusals_name_what_is_wrong(autojump_clock):
    async with running(PIPELINE) as execution:
        with pytest.raises(UnknownRouteError, match="no_such_route"):
            execution.publish_nowait("no_such_route", 1)
        with pytest.raises(TypeError, match="key= needs a string or None, got int"):
            execution.publish_nowait("a", 1, key=7)
        with pytest.raises(CodecError, match="message"):
            execution.publish_nowait("a", object())
        await execution.cancel()
        with pytest.raises(ExecutionClosedError):
            execution.publish_nowait("a", 1)


@pytest.mark.parametrize("slowly", [False, True], ids=["at once", "slowly"])
async def test_routes_of_one_topic_are_served_in_their_order_whichever_way_a_message_goes(slowly, autojump_clock):
    seen = []

    async def note(context):
        seen.append(context.route)
        return AdapterResult.forward()

    routes = ", ".join(
        f"{name}: {{inbound: {{queue: /topic/t, subscription: {name}}}, adapters: [{{type: note}}]}}" for name in "abc"
    )
    async with running(f"routes: {{{routes}}}", adapters={"note": note}) as execution:
        if slowly:
            refuse_offers(execution)
        for number in range(3):
            await trio.sleep(1)
            execution.publish_nowait("a", number)
        await execution.complete()
    assert seen == [*"abc"] * 3
