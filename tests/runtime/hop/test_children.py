"""Children that wait for a worker: their list beside a plain one, and what becomes of them beside a plain account of it."""

from collections import Counter

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.frames import Frame
from factflow_engine.native import Child, Children
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.runtime.hop.work import DETACHED, Parent
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult
from support.internals import routes_of
from support.interrupts import CancelAtStep
from support.pipelines import assert_counters_balance, load, registry_of

# -- the list --------------------------------------------------------------------------------------------------------

PARENTS = [None, DETACHED, Parent(Frame.create(b"\xc0", message_id=bytes(16)), None)]


def told(child):
    if child is None:
        return None
    named = (child.index, child.parent, child.result, child.since_ns, child.deferrals, child.deferred_ns)
    return (child.frame.message_id, child.last_error, *named)


class Listed:
    """The same, slow and obvious."""

    def __init__(self):
        self.waiting = []

    def append(self, child):
        self.waiting.append(told(child))

    def take(self):
        return self.waiting.pop(0) if self.waiting else None

    def take_later(self, index, most):
        for place, child in enumerate(self.waiting[:most]):
            if child[2] > index:
                return self.waiting.pop(place)
        return None


operations = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 3), st.sampled_from(PARENTS), st.none() | st.text(max_size=3)),
    st.tuples(st.just("append"), st.integers(0, 3), st.sampled_from(PARENTS), st.none()),
    st.tuples(st.just("take")),
    st.tuples(st.just("take_later"), st.integers(0, 3), st.integers(0, 5)),
)


@given(st.lists(operations, max_size=30))
def test_children_wait_as_in_a_list(steps):
    children, listed = Children(), Listed()
    for number, (name, *arguments) in enumerate(steps):
        if name == "append":
            index, parent, text = arguments
            child = Child(Frame.create(b"\xc0", message_id=bytes([number] * 16)), index, parent, text, since_ns=number)
            child.deferrals, child.deferred_ns = number % 3, number
            if text is not None:
                child = child.retried(child.frame, text)
            children.append(child)
            listed.append(child)
        else:
            assert told(getattr(children, name)(*arguments)) == getattr(listed, name)(*arguments)
        assert len(children) == len(listed.waiting)
        assert [told(child) for child in children] == listed.waiting
    assert bool(children) == bool(listed.waiting)


@pytest.mark.parametrize("exhausted", [False, True])
def test_a_child_that_was_taken_is_a_copy(exhausted):
    children, parent = Children(), Parent(Frame.create(b"\xc0", message_id=bytes(16)), None)
    parent.exhausted = exhausted
    child = Child(parent.frame, 1, parent)
    children.append(child)
    child.deferrals = 5
    taken = children.take()
    assert taken is not None
    assert (taken.deferrals, taken.parent) == (0, parent)
    assert (parent.open, parent.exhausted) == (0, exhausted)


# -- what becomes of them --------------------------------------------------------------------------------------------

FATES = ["pass", "wait", "drop", "fail", "once", "spread", "set"]
"""What a stage does with a child: forward it, at once or later; filter it; fail it, always or at its first attempt; emit two
more; set a context variable."""

SPREAD = 2


async def emit(context):
    return AdapterResult(emitted=[{"path": [number], "fates": fates} for number, fates in enumerate(context.message)])


async def obey(context):
    message = context.message
    fate, *rest = message["fates"]
    following = {"path": message["path"], "fates": rest}
    if fate in {"wait", "set"}:
        await trio.sleep(0.01 * (message["path"][0] % 3))
    elif fate == "drop":
        return None
    elif fate == "fail" or (fate == "once" and context.attempt == 1):
        raise ValueError(fate)
    elif fate == "spread":
        return AdapterResult(emitted=[{"path": [*message["path"], number], "fates": rest} for number in range(SPREAD)])
    return AdapterResult(message=following)


def outcomes_of(children):
    """What becomes of the children of one message, one after another: (arrived paths, counts of ends)."""
    arrived, ends = [], Counter()

    def go(path, fates):
        for place, fate in enumerate(fates):
            if fate == "drop":
                ends["filtered"] += 1
                return
            if fate == "fail":
                ends["failed"] += 1
                return
            if fate == "spread":
                for number in range(SPREAD):
                    go((*path, number), fates[place + 1 :])
                ends["completed"] += 1
                return
        arrived.append(path)
        ends["completed"] += 1

    for number, fates in enumerate(children):
        go((number,), fates)
    ends["completed"] += 1  # their parent
    return arrived, ends


def text_of(*, stages, concurrency, capacity, room, quantum):
    chain = ", ".join(f"{{type: obey, name: s{number}}}" for number in range(stages))
    return f"""
processor: {{quantum_microseconds: {quantum}}}
routes:
  r:
    inbound: {{concurrency: {concurrency}, capacity: {capacity}}}
    adapters: [{{type: emit}}, {chain}]
    error_handling: {{max_retries: 1, retry_delay_seconds: 0.01, jitter: none}}
    outbound: [{{route: o}}]
  o:
    inbound: {{concurrency: 1, capacity: {room}}}
    adapters: [{{type: note}}]
"""


class KeepingQueue(MemoryQueue):
    """Keeps what an execution leaves behind, to be looked at."""

    def discard(self, prefix):
        self.left = getattr(self, "left", None) or {
            queue.rsplit(":", 1)[1]: [frame.correlation_id.hex() for frame in line.frames()]
            for queue, [line] in self._channels.items()
        }
        super().discard(prefix)


def outcome_of(text, parents, pauses, step, seed):
    """Run it, cancelled at a step if it gets there.

    Returns:
        The report, paths that arrived by root, roots, roots that were left waiting by route, and whether it was cancelled.
    """
    queue, arrived = KeepingQueue(), {}

    async def note(context):
        await trio.sleep(0.001)
        arrived.setdefault(context.correlation_id, Counter())[tuple(context.message["path"])] += 1
        return AdapterResult.forward()

    async def main(simulation):
        registry = registry_of(emit=emit, obey=obey, note=note)
        scope, roots = trio.CancelScope(), []
        instrument = CancelAtStep(scope, step)
        with scope:
            async with OrchestratorManager(registry=registry, seams=simulation.seams, queue=queue) as manager:
                execution = await manager.start(load(registry, text))
                trio.lowlevel.add_instrument(instrument)
                for children in parents:
                    roots.append(await execution.publish("r", children))  # noqa: PERF401 - the first ones count
                for seconds in pauses:
                    await trio.sleep(seconds)
                    execution.pause("r")
                    await trio.sleep(0.005)
                    execution.resume("r")
                with trio.fail_after(10_000):
                    await execution.complete()
        trio.lowlevel.remove_instrument(instrument)
        for route in routes_of(execution):
            assert (route.carrier.busy, route.carrier.pulling) == (0, 0), "every permit is back"
            assert [*route.children, *route.drivers, *route.driving] == []
        return execution.report, roots, scope.cancelled_caught

    report, roots, was_cancelled = in_virtual_time(main, seed=seed)
    assert_counters_balance(report)
    return report, arrived, roots, queue.left, was_cancelled


@st.composite
def lists(draw):
    """Stages after the one that emits, and lists of the fates of children there."""
    stages = draw(st.integers(1, 3))
    fates = st.lists(st.sampled_from(FATES), min_size=stages, max_size=stages)
    alike = st.lists(fates, min_size=1, max_size=2).flatmap(lambda few: st.lists(st.sampled_from(few), max_size=40))
    return stages, draw(st.lists(st.lists(fates, max_size=6) | alike, min_size=1, max_size=3))


@settings(max_examples=50, deadline=None)
@given(
    given=lists(),
    concurrency=st.integers(1, 4),
    capacity=st.integers(1, 20),
    room=st.integers(1, 8),
    quantum=st.sampled_from([50, 200, 1000]),
    pauses=st.lists(st.sampled_from([0, 0.001, 0.02]), max_size=2),
    step=st.integers(1, 120) | st.none(),
    seed=st.integers(0, 1000),
)
def test_children_of_lists_end_as_in_a_plain_account(given, concurrency, capacity, room, quantum, pauses, step, seed):
    stages, parents = given
    text = text_of(stages=stages, concurrency=concurrency, capacity=capacity, room=room, quantum=quantum)
    report, arrived, roots, left, was_cancelled = outcome_of(text, parents, pauses, step or 10**9, seed)
    expected = {root: outcomes_of(children) for root, children in zip(roots, parents, strict=False)}
    if not was_cancelled:
        assert {root: Counter(paths) for root, (paths, _) in expected.items() if paths} == arrived
        route = report.routes["r"]
        ends = sum((ends for _, ends in expected.values()), Counter())
        assert {name: getattr(route, name) for name in ("completed", "filtered", "failed")} == {
            name: ends[name] for name in ("completed", "filtered", "failed")
        }
        assert (route.in_flight, route.retrying, route.waiting) == (0, 0, 0)
        return
    waiting = Counter(left["/queue/r"])
    assert all(number == 1 for number in waiting.values()), "what is given back is given back once"
    for root, (paths, _) in expected.items():
        come = arrived.get(root, Counter()) + Counter()
        on_the_way = left["/queue/o"].count(root)
        assert come <= Counter(paths), "nothing else arrives, and nothing twice"
        if root not in waiting:
            assert come.total() + on_the_way == len(paths), "what ended has handed on all of it"
