"""`Notifier`: a route is listed once, and a worker is woken unless one runs; beside a plain account of it."""

import gc
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.frames import Frame
from factflow_engine.native import Notifier, Worker, WorkerPool
from factflow_engine.queues.channel import MemoryChannel

FRAME = Frame.create(b"\xc0", message_id=bytes(16))


class Drivers(list):
    """Tasks that wait; only their number counts here."""

    def wake_all(self):
        self.clear()


class Plain:
    """The same, slow and obvious."""

    def __init__(self):
        self.ready, self.woken, self.waiting, self.runs, self.listed, self.armed = [], 0, 0, False, False, True

    def notify(self, *, shared):
        if not self.runs:
            self.woken += 1
        self.attend(shared=shared)
        self.waiting = 0

    def attend(self, *, shared):
        if not self.listed:
            self.listed, self.armed = True, shared
            self.ready.append("route")

    def append(self, *, shared):
        if self.armed:
            self.notify(shared=shared)


@given(
    steps=st.lists(st.sampled_from(["notify", "attend", "append", "serve", "run", "stop", "drive"]), max_size=30),
    shared=st.booleans(),
)
def test_any_history_is_as_in_the_plain_account(steps, shared):
    ready, woken, told, drivers, plain = [], [], [], Drivers(), Plain()
    pool = WorkerPool(ready=ready, parked=[], workers=[], most=1, wake=lambda: woken.append(1))
    inbound = MemoryChannel("q", 10)
    notify = Notifier(pool=pool, route="route", inbound=inbound, drivers=drivers)
    inbound.listen(notify)
    if shared:
        inbound.listen(lambda: told.append(1))
    for step in steps:
        if step == "notify":
            notify()
            plain.notify(shared=shared)
        elif step == "attend":
            notify.attend()
            plain.attend(shared=shared)
        elif step == "append":
            inbound.append(FRAME)
            plain.append(shared=shared)
        elif step == "serve" and ready:
            ready.pop()
            plain.ready.pop()
            notify.listed = plain.listed = False
            inbound.armed = plain.armed = True
        elif step == "drive":
            drivers.append("task")
            plain.waiting += 1
        elif step in {"run", "stop"}:
            plain.runs = step == "run"
            pool.active = Worker(quantum_ns=1, quantum_turns=1) if plain.runs else None
        assert (ready, len(woken), len(drivers)) == (plain.ready, plain.woken, plain.waiting)
        assert (notify.listed, inbound.armed) == (plain.listed, plain.armed)
    assert len(told) == (steps.count("append") if shared else 0)


def test_a_wake_up_that_raises_leaves_the_route_unlisted():
    def wake():
        raise RuntimeError("no trio here")

    ready = []
    pool = WorkerPool(ready=ready, parked=[], workers=[], most=1, wake=wake)
    notify = Notifier(pool=pool, route="route", inbound=MemoryChannel("q", 1), drivers=Drivers())
    with pytest.raises(RuntimeError, match="no trio here"):
        notify()
    assert (ready, notify.listed) == ([], False)


def test_only_a_single_listener_is_called_natively():
    channel, told = MemoryChannel("q", 1), []
    first, second = (lambda: told.append(1)), (lambda: told.append(2))
    assert channel.sole is None
    for listeners, listen, listener in [
        ([first], channel.listen, first),
        ([first, second], channel.listen, second),
        ([second], channel.unlisten, first),
        ([], channel.unlisten, second),
    ]:
        listen(listener)
        assert channel.sole is (listeners[0] if len(listeners) == 1 else None)
        told.clear()
        channel.append(FRAME)
        assert told == [1 if listener is first else 2 for listener in listeners]


def test_a_channel_and_what_it_tells_go_together():
    class Route:
        pass

    route, channel = Route(), MemoryChannel("q", 1)
    pool = WorkerPool(ready=[], parked=[], workers=[], most=1, wake=lambda: None)
    notify = Notifier(pool=pool, route=route, inbound=channel, drivers=Drivers())
    route.__dict__["notify"] = notify
    channel.listen(notify)
    gone = weakref.ref(route)
    del route, channel, notify
    gc.collect()
    assert gone() is None
