"""Sources that are pulled natively give what the plain way gives: the same messages, ids, order, counters and failures."""

import contextvars
import gc
from collections import Counter

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, Emit
from support.internals import pulled_plainly, routes_of
from support.pipelines import assert_counters_balance, load, registry_of, running

OWNER = contextvars.ContextVar("OWNER", default=None)


class Each:
    """An iterator that is no generator."""

    def __init__(self, values):
        self.values = iter(values)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.values)


class EachLater:
    """An async iterator that is no generator."""

    def __init__(self, values):
        self.values = iter(values)

    def __aiter__(self):
        return self

    async def __anext__(self):
        await trio.sleep(0.001)
        for value in self.values:
            return value
        raise StopAsyncIteration


def generator(values):
    yield from values


def setting(values):
    for value in values:
        OWNER.set("source")
        yield value


def scoped(values):
    for number, value in enumerate(values):
        if number % 2:
            with trio.move_on_after(1000):
                yield value
        else:
            yield value


def leaving_open(values):
    yield from values
    trio.CancelScope().__enter__()


async def at_once(values):
    for value in values:
        yield value


async def waiting(values):
    for number, value in enumerate(values):
        if number % 3 == 1:
            await trio.sleep(0.01 * (number % 2))
        yield value


async def scoped_waiting(values):
    with trio.move_on_after(1000):
        for value in values:
            await trio.lowlevel.checkpoint()
            yield value


KINDS = {
    "list": list,
    "tuple": tuple,
    "iterator": Each,
    "generator": generator,
    "setting": setting,
    "scoped": scoped,
    "leaving open": leaving_open,
    "at once": at_once,
    "waiting": waiting,
    "scoped waiting": scoped_waiting,
    "async iterator": EachLater,
}


def raising(kind, values):
    """What emits these, and raises then."""

    def fails():
        yield from values
        raise LookupError("no more")

    async def fails_later():
        for value in values:
            yield value
        await trio.sleep(0)
        raise LookupError("no more")

    return fails_later() if kind in {"at once", "waiting", "scoped waiting", "async iterator"} else fails()


async def forward(context):
    assert OWNER.get() is None
    return AdapterResult.forward()


async def rewrite(context):
    return AdapterResult(message={**context.message, "again": True}, headers={"by": "rewrite"})


async def drop(context):
    return AdapterResult.forward() if context.message["n"] % 2 else None


async def wait(context):
    await trio.sleep(0.01 * (context.message["n"] % 3))
    return AdapterResult.forward()


async def setter(context):
    assert OWNER.get() is None
    OWNER.set("stage")
    if context.message["n"] % 3 == 0:
        await trio.sleep(0.01)
    assert OWNER.get() == "stage"
    return AdapterResult.forward()


async def fail(context):
    if context.message["n"] == 3:
        raise ValueError("three")
    return AdapterResult.forward()


async def again(context):
    number = context.message["n"]
    return AdapterResult(emitted=[{"n": number}, {"n": number + 1}]) if number > 4 else AdapterResult.forward()


async def leave(context):
    if context.message["n"] == 2:
        trio.CancelScope().__enter__()
    return AdapterResult.forward()


STAGES = {"pass": forward, **{it.__name__: it for it in (rewrite, drop, wait, setter, fail, again, leave)}}
CALM = {"pass", "rewrite", "drop"}

payloads = st.builds(lambda number: {"n": number}, st.integers(0, 7))
elements = st.one_of(
    payloads,
    payloads,
    st.builds(
        Emit,
        payload=payloads,
        key=st.none() | st.sampled_from(["a", "b"]),
        headers=st.none() | st.sampled_from([{}, {"h": 1}, {"root": None}]),
    ),
)
sources = st.tuples(
    st.sampled_from([*KINDS]),
    st.lists(elements, max_size=12),
    st.sampled_from(["", "", "", "raises", "refused"]),
)
conditions = st.sampled_from(
    ["", ", condition: {field: n, operator: gt, value: 3}", ", condition: {field: n, operator: lt, value: 6}"]
)


@st.composite
def pipelines(draw):
    """The text of a pipeline whose first route emits."""
    stages = draw(st.lists(st.sampled_from([*STAGES]), max_size=2, unique=True))
    outbounds = draw(st.lists(st.tuples(st.integers(1, 4), conditions), max_size=3))
    concurrency, capacity = draw(st.integers(1, 4)), draw(st.integers(1, 20))
    mode, unrouted = draw(st.sampled_from(["all", "first"])), draw(st.sampled_from(["filter", "fail"]))
    retries = draw(st.sampled_from([0, 1]))
    order = draw(st.sampled_from(["", ", ordering: key"]))
    lines = [
        "routes:",
        "  r:",
        f"    inbound: {{concurrency: {concurrency}, capacity: {capacity}{order}}}",
        f"    adapters: [{', '.join(f'{{type: {kind}}}' for kind in ['emit', *stages])}]",
        f"    error_handling: {{max_retries: {retries}{', retry_delay_seconds: 0.01, jitter: none' if retries else ''}}}",
    ]
    if outbounds:
        lines += [f"    outbound_mode: {mode}", f"    unrouted: {unrouted}", "    outbound:"]
        lines += [f"      - {{route: o{number}{condition}}}" for number, (_, condition) in enumerate(outbounds)]
    for number, (room, _) in enumerate(outbounds):
        lines += [f"  o{number}:", f"    inbound: {{capacity: {room}}}", "    adapters: [{type: note}]"]
    return "\n".join(lines), set(stages)


def outcome_of(text, parents, pauses, seed):
    """What comes of these sources: messages in the order in which they arrived, counters, failures."""
    arrived = []

    async def emit(context):
        kind, values, end = parents[context.message]
        values = [*values, object()] if end == "refused" else values
        return AdapterResult(emitted=raising(kind, values) if end == "raises" else KINDS[kind](values))

    async def note(context):
        assert OWNER.get() is None
        arrived.append(
            (
                context.route,
                context.correlation_id,
                context.parent_id,
                context.message_id,
                context.key,
                tuple(sorted(context.headers.items())),
                str(context.message),
            )
        )
        await trio.sleep(0.001)

    async def main(simulation):
        registry = registry_of(**STAGES, emit=emit, note=note)
        with trio.fail_after(10_000):
            async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
                execution = await manager.start(load(registry, text))
                for number in range(len(parents)):
                    await execution.publish("r", number, key=str(number % 2), headers={"root": number})
                for seconds in pauses:
                    await trio.sleep(seconds)
                    execution.pause("r")
                    await trio.sleep(0.005)
                    execution.resume("r")
                report = await execution.complete()
        routes = routes_of(execution)
        assert not any(route.carrier.busy or route.carrier.pulling or route.children for route in routes)
        assert_counters_balance(report)
        return report

    report = in_virtual_time(main, seed=seed)
    counted = dict(report.routes)
    failures = Counter((failure.route, failure.stage, failure.error_type, failure.error) for failure in report.failures)
    return arrived, counted, failures, str(report.status)


@settings(max_examples=75, deadline=None)
@given(
    pipeline=pipelines(),
    parents=st.lists(sources, min_size=1, max_size=3),
    pauses=st.lists(st.sampled_from([0, 0.001, 0.02]), max_size=3),
    seed=st.integers(0, 1000),
)
def test_any_source_is_pulled_natively_as_in_the_plain_way(pipeline, parents, pauses, seed):
    text, stages = pipeline
    arrived, counted, failures, status = outcome_of(text, parents, pauses, seed)
    with pulled_plainly():
        plainly = outcome_of(text, parents, pauses, seed)
    assert Counter(arrived) == Counter(plainly[0])
    assert counted == plainly[1]
    assert failures == plainly[2]
    assert status == plainly[3]
    if stages <= CALM and not failures:

        def by_parent(arrived):
            return {key: [message for message in arrived if message[:2] == key] for key in {it[:2] for it in arrived}}

        assert by_parent(arrived) == by_parent(plainly[0])


async def test_a_print_of_where_a_task_waits_shows_the_source():
    """A pull that has to wait is awaited by an object of the engine's, which trio looks through."""
    waiting = trio.Event()

    async def rows():
        yield {"n": 1}
        waiting.set()
        await trio.sleep_forever()

    async def emit(context):
        return AdapterResult(emitted=rows())

    async with running("routes: {r: {adapters: [{type: emit}]}}", adapters={"emit": emit}) as execution:
        await execution.publish("r", 1)
        await waiting.wait()
        await trio.testing.wait_all_tasks_blocked()
        tasks, names = [trio.lowlevel.current_root_task()], set()
        while tasks:
            task = tasks.pop()
            names |= {frame.f_code.co_name for frame, _ in task.iter_await_frames()}
            tasks += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        assert {"finish", "rows", "sleep_forever"} <= names
        await execution.cancel()


@pytest.mark.parametrize("stages", ["", ", {type: pass}"], ids=["last", "chain"])
async def test_a_source_may_do_anything_while_it_is_pulled(stages):
    """It publishes, pauses and resumes its own route, fills the outbound, looks at the statistics, collects garbage."""
    seen = []

    async def emit(context):
        def rows():
            for number in range(60):
                if number % 5 == 0:
                    execution.publish_nowait("o", {"n": -number})
                if number % 7 == 0:
                    execution.pause("r")
                    yield {"n": number}
                    execution.resume("r")
                else:
                    gc.collect(0)
                    assert execution.statistics().routes["r"].in_flight >= 1
                    yield {"n": number}

        return AdapterResult(emitted=rows())

    async def note(context):
        seen.append(context.message["n"])
        if execution.statistics().routes["r"].pauses:
            execution.resume("r")
        return AdapterResult.forward()

    text = f"""
routes:
  r: {{adapters: [{{type: emit}}{stages}], outbound: [{{route: o}}]}}
  o: {{inbound: {{capacity: 2, concurrency: 1}}, adapters: [{{type: note}}]}}
"""
    async with running(text, adapters={"emit": emit, "note": note, "pass": forward}) as execution:
        await execution.publish("r", 0)
        with trio.fail_after(20):
            while execution.statistics().routes["r"].in_flight or not seen:
                await trio.sleep(0.001)
                execution.resume("r")
        report = await execution.complete()
    assert [number for number in seen if number > 0] == [*range(1, 60)]
    assert report.routes["r"].completed == 61
    assert_counters_balance(report)


@pytest.mark.parametrize(
    "outbound",
    [
        "unrouted: fail, outbound: [{route: o, condition: {field: n, operator: gt, value: 2}}]",
        "outbound: [{queue: /queue/unread}]",
    ],
    ids=["unrouted", "full"],
)
async def test_a_source_keeps_the_context_variables_that_it_sets_when_a_child_cannot_be_published(outbound):
    seen = []

    async def emit(context):
        def rows():
            token = OWNER.set("source")
            for number in range(6):
                yield {"n": number}
                seen.append(OWNER.get())
            OWNER.reset(token)  # raises in another context

        return AdapterResult(emitted=rows())

    text = f"""
routes:
  r: {{adapters: [{{type: emit}}], {outbound}}}
  o: {{adapters: [{{type: forward}}]}}
"""
    async with running(text, adapters={"emit": emit}) as execution:
        if "unread" in outbound:
            (channel,) = routes_of(execution)[0].outbounds[0].channels
            channel.capacity = 3
        await execution.publish("r", 0)
        report = await execution.complete()
    assert seen == ["source"] * 6
    assert report.routes["r"].failed == 3
    assert report.routes["r"].completed == 4
