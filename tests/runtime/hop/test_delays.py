"""What waits on a route leaves in its order, and at a cost that does not depend on what waits for something else."""

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.frames import Frame
from factflow_engine.runtime.hop.delays import FEW_MARKS, Delays, Waiting
from factflow_engine.runtime.hop.work import Child
from factflow_engine.runtime.report import Holder
from factflow_protocols import CircuitOpenError
from support.internals import release_circuit, route_of
from support.pipelines import running

FRAME = Frame.create(b"\xc0", message_id=bytes(16))

messages = st.tuples(
    st.just("add"),
    st.sampled_from([None, None, "letter", "x", "y", "z"]),
    st.integers(0, 5),
    st.booleans(),
    st.booleans(),
)
takes = st.one_of(
    st.tuples(st.just("due"), st.integers(0, 5)),
    st.tuples(st.just("circuit"), st.sampled_from("xyz")),
    st.tuples(st.just("letter")),
)


def waiting_of(serial, what, due, stops, asks):
    is_letter = what == "letter"
    return Waiting(
        due=math.inf if is_letter else due,
        serial=serial,
        child=Child(FRAME, 0, None),
        stage="s",
        since_ns=serial,
        give_up=(lambda *, exceeds: True) if is_letter else None,
        by=Holder.DEAD_LETTER_QUEUE if is_letter else Holder.RETRY if what is None else Holder.CIRCUIT_OPEN,
        circuit=None if is_letter else what,
        stops=stops and what in ("x", "y", "z"),
        asks=asks,
    )


@given(st.lists(st.one_of(messages, takes), max_size=80))
def test_a_waiting_room_is_a_list_that_is_looked_through(steps):
    room, model = Delays(), []
    for serial, step in enumerate(steps):
        if step[0] == "add":
            waiting = waiting_of(serial, *step[1:])
            room.add(waiting)
            model.append(waiting)
        elif step[0] == "due":
            ready = [one for one in model if one.due <= step[1]]
            expected = min(ready, default=None)
            assert room.pop_due(step[1]) is expected
            model = [one for one in model if one is not expected]
        elif step[0] == "circuit":
            expected = next((one for one in model if one.circuit == step[1]), None)
            assert room.pop_circuit(step[1]) is expected
            model = [one for one in model if one is not expected]
        elif room.letters:
            expected = next(one for one in model if one.give_up is not None)
            assert room.pop_letter() is expected
            model.remove(expected)
        assert len(room) == len(model)
        assert set(room) == set(model)
        assert room.due == min((one.due for one in model), default=math.inf)
        assert room.circuits == sum(one.circuit is not None for one in model)
        assert room.stopping == sum(one.stops for one in model)
        assert room.asking.total() == sum(one.asks for one in model)
        assert all(room.asking.values())
        assert room.groups == Counter((one.stage, one.by, one.circuit) for one in model)
    assert room.drain() == sorted(model)
    assert (len(room), room.circuits, room.stopping) == (0, 0, 0)


def test_marks_of_what_was_released_do_not_pile_up():
    room = Delays()
    room.add(waiting_of(0, None, 1, False, False))
    for serial in range(1, 10_000):
        room.add(waiting_of(serial, "x", 5, False, False))
        room.pop_circuit("x")
        assert len(room._timed) <= 2 * len(room) + FEW_MARKS


class CountedName(str):
    """A name that counts how often it is compared."""

    __slots__ = ("compared",)

    def __new__(cls, text):
        name = super().__new__(cls, text)
        name.compared = 0
        return name

    def __eq__(self, other):
        self.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


async def test_a_breakers_transition_does_not_look_at_what_waits_for_another(autojump_clock):
    async def dial(context):
        raise CircuitOpenError(context.message, 600)

    async with running(
        "routes: {r: {adapters: [{type: dial}], error_handling: {max_retries: 1}}}", adapters={"dial": dial}
    ) as execution:
        await execution.publish_batch("r", ["dead"] * 900 + ["alive"] * 2)
        while execution.statistics().routes["r"].retrying < 902:
            await execution.publish_batch("r", [])
        route = route_of(execution, "r")
        name = CountedName("alive")
        release_circuit(execution, route, name)
        assert execution.statistics().routes["r"].retrying == 900
        assert name.compared < 10
        await execution.cancel()
