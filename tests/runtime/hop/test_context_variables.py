"""Each message begins with the context variables of whoever started the execution; its stages see what it has set."""

import contextvars

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.native import Worker
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import AdapterResult, StatefulAdapter
from support.internals import count_switches
from support.pipelines import load, registry_of

TENANT: contextvars.ContextVar[object] = contextvars.ContextVar("tenant", default="nobody")
OTHER: contextvars.ContextVar[object] = contextvars.ContextVar("other")
STARTER = "starter"

TEXT = """
routes:
  a:
    inbound: {concurrency: %d}
    adapters: [{type: first}, {type: second}]
    error_handling: {max_retries: 1, retry_delay_seconds: 0, jitter: none}
    outbound: [{route: b}]
  b:
    inbound: {concurrency: %d}
    adapters: [{type: last}]
"""

MESSAGES = st.lists(
    st.fixed_dictionaries(
        {
            "sets": st.none() | st.sampled_from(["acme", "globex", STARTER]),
            "other": st.booleans(),
            "waits": st.booleans(),
            "waits_then": st.booleans(),
            "ends": st.sampled_from(
                ["forward", "change", "headers", "filter", "fail", "fail once", "emit", "async emit"]
            ),
        }
    ),
    max_size=12,
)


class Watch:
    """Adapters that note what they find set that their message has not set."""

    def __init__(self):
        self.wrong = []
        self.begun = 0

    def begin(self, where):
        self.begun += 1
        found = (TENANT.get(), OTHER.get(None))
        if found != (STARTER, None):
            self.wrong.append((where, found))

    def expect(self, where, message):
        expected = (STARTER if message["sets"] is None else message["sets"], 1 if message["other"] else None)
        found = (TENANT.get(), OTHER.get(None))
        if found != expected:
            self.wrong.append((where, found, expected))

    def set(self, message):
        if message["sets"] is not None:
            TENANT.set(message["sets"])
        if message["other"]:
            OTHER.set(1)

    async def first(self, context):
        message = context.message
        self.begin("first")
        if message["waits"]:
            await trio.lowlevel.checkpoint()
        self.set(message)
        if message["waits_then"]:
            await trio.lowlevel.checkpoint()
        self.expect("first, later", message)
        ends = message["ends"]
        if ends == "fail" or (ends == "fail once" and context.attempt == 1):
            raise ValueError(ends)
        match ends:
            case "filter":
                return None
            case "change":
                return AdapterResult(message=message)
            case "headers":
                return AdapterResult(message=message, headers={"a": 1})
            case "emit":
                return AdapterResult(emitted=self.children(message))
            case "async emit":
                return AdapterResult(emitted=self.children_later(message))
        return AdapterResult.forward()

    def children(self, message):
        for number in range(3):
            self.expect("source", message)
            yield message | {"child": number}

    async def children_later(self, message):
        for number in range(3):
            self.expect("source", message)
            if number == 1 and message["waits_then"]:
                await trio.lowlevel.checkpoint()
            yield message | {"child": number}

    async def second(self, context):
        message = context.message
        if "child" in message:
            self.begin("child")
            if message["child"] != 1:
                TENANT.set(f"child {message['child']}")
            if message["waits"]:
                await trio.lowlevel.checkpoint()
        else:
            self.expect("second", message)
        return AdapterResult.forward()

    async def last(self, context):
        self.begin("last")
        if context.message["waits"]:
            await trio.lowlevel.checkpoint()
        self.set(context.message)
        return AdapterResult.forward()


def adapters(watch):
    return {"first": watch.first, "second": watch.second, "last": watch.last}


async def start_elsewhere(manager, config):
    """Start an execution with the variable set; the caller's own stays what it is."""
    executions = []

    async def start():
        TENANT.set(STARTER)
        executions.append(await manager.start(config))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(start)
    return executions[0]


@given(MESSAGES, st.integers(1, 3), st.integers(1, 3))
async def test_a_message_sees_what_its_own_stages_have_set_and_nothing_else(messages, one, other):
    watch = Watch()
    registry = registry_of(**adapters(watch))
    with trio.fail_after(30):
        async with OrchestratorManager(registry=registry) as manager:
            execution = await start_elsewhere(manager, load(registry, TEXT % (one, other)))
            for number, message in enumerate(messages):
                TENANT.set(f"publisher {number}")  # who publishes wakes workers, and is not who started them
                await execution.publish("a", message)
            await execution.complete()
    assert watch.wrong == []
    assert watch.begun >= len(messages)


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_so_it_is_while_messages_wait_in_a_batch(concurrency, autojump_clock):
    watch = Watch()
    messages = [
        {"sets": sets, "other": other, "waits": waits, "waits_then": not waits, "ends": ends}
        for sets in ("acme", None)
        for other in (True, False)
        for waits in (True, False)
        for ends in ("forward", "fail", "fail once", "emit", "async emit", "filter", "headers")
    ]
    registry = registry_of(**adapters(watch))
    async with OrchestratorManager(registry=registry) as manager:
        execution = await start_elsewhere(manager, load(registry, TEXT % (concurrency, concurrency)))
        await execution.publish_batch("a", messages)
        await execution.complete()
    assert watch.wrong == []


async def test_a_threads_variables_are_its_messages_own(autojump_clock):
    seen = []

    def in_thread(context):
        seen.append(TENANT.get())
        TENANT.set("thread")
        return AdapterResult.forward()

    async def set_before(context):
        TENANT.set(context.message)
        return AdapterResult.forward()

    registry = registry_of(in_thread=in_thread, set_before=set_before)
    text = "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: set_before}, {type: in_thread}]}}"
    async with OrchestratorManager(registry=registry) as manager:
        execution = await start_elsewhere(manager, load(registry, text))
        await execution.publish_batch("r", ["one", "two"])
        await execution.complete()
    assert seen == ["one", "two"]


async def test_what_a_stage_says_at_its_end_begins_like_a_message():
    watch = Watch()

    class Last(StatefulAdapter):
        async def process(self, context):
            TENANT.set("leaks")
            return None

        async def finish(self):
            TENANT.set("finishing")
            return AdapterResult(emitted=["said"])

    async def look(context):
        watch.begin("said")
        return AdapterResult.forward()

    registry = registry_of(last=Last, look=look)
    async with OrchestratorManager(registry=registry) as manager:
        execution = await start_elsewhere(
            manager, load(registry, "routes: {r: {inbound: {concurrency: 1}, adapters: [{type: last}, {type: look}]}}")
        )
        await execution.publish("r", 1)
        await execution.complete()
    assert (watch.begun, watch.wrong) == (1, [])


async def test_where_nothing_is_set_nobody_yields_for_it(monkeypatch):
    switches = count_switches(monkeypatch)

    async def become(context):
        token = TENANT.set("for a while")
        TENANT.reset(token)
        return AdapterResult.forward()

    registry = registry_of(become=become)
    async with OrchestratorManager(registry=registry) as manager:
        execution = await start_elsewhere(manager, load(registry, "routes: {r: {adapters: [{type: become}]}}"))
        await execution.publish_batch("r", [1] * 100)
        await execution.complete()
    assert switches == []


class Awkward:
    def __eq__(self, other):
        raise ValueError("not to be compared, as an array")

    __hash__ = None  # type: ignore[assignment]


def test_values_that_cannot_be_compared_are_others():
    worker = Worker(quantum_ns=1, quantum_turns=1)
    assert not worker.has_set
    first = contextvars.Context()
    first.run(TENANT.set, Awkward())
    now = first.copy()
    worker.begin_in(now, first)
    assert not worker.has_set
    now.run(TENANT.set, Awkward())
    assert worker.has_set
