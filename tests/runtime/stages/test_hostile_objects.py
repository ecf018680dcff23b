"""Objects that run code of their own when they go, or are looked at, come back to what held them: it stands that."""

import gc

import pytest

from factflow_engine.frames import Frame, pack
from factflow_engine.native import Channel, Counters, Journal
from factflow_engine.resilience import CircuitBreaker, CircuitBreakerSettings
from factflow_engine.testing.virtual_time import SimulatedClock


class Key(str):
    """A key that does something when it goes."""

    __slots__ = ("then",)

    def __del__(self):
        self.then()


class Bytes(bytes):
    then = staticmethod(lambda: None)

    def __del__(self):
        self.then()


def frame(number=1, **fields):
    return Frame.create(pack(number), message_id=number.to_bytes(16), **fields)


def touch(line):
    """All that can be done with a line."""
    line.append(frame(7))
    line.put_first(frame(8))
    assert line.waiting >= 2
    assert len(line.frames()) == line.waiting
    line.take()
    line.capacity = line.capacity
    line.armed = line.armed


@pytest.mark.parametrize("by", ["clear", "take", "drop"])
def test_what_goes_with_a_line_may_come_back_to_it(by, monkeypatch):
    unraisable = []
    monkeypatch.setattr("sys.unraisablehook", unraisable.append)
    gone = []
    held = line = Channel("owner", 10)

    def then():
        gone.append(1)
        touch(held)

    payload = Bytes(pack(1))
    Bytes.then = staticmethod(then)
    key = Key("k")
    key.then = then
    try:
        for _ in range(3):
            line.append(Frame.create(payload, message_id=bytes(16), key=key))
        del payload, key
        if by == "clear":
            line.clear()
        elif by == "take":
            while line.waiting and len(gone) < 2:
                line.take()
        else:
            del line
        gc.collect()
    finally:
        Bytes.then = staticmethod(lambda: None)
    assert gone == [1, 1]
    assert unraisable == []


def test_frames_hold_plain_keys_and_payloads():
    key = Key("k")
    key.then = lambda: None
    made = Frame.create(Bytes(pack(1)), message_id=bytes(16), key=key)
    assert (type(made.key), made.key) == (str, "k")
    assert (type(made.payload), made.value()) == (bytes, 1)
    assert type(made.child(1, 1, payload=Bytes(pack(2))).payload) is bytes


class Garbage:
    """A circle of references that does something when the collector finds it."""

    def __init__(self, then):
        self.then, self.itself = then, self

    def __del__(self):
        self.then()


@pytest.fixture
def eager_collector():
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(1)
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize("ask", ["frames", "journal", "classes"])
def test_the_collector_may_run_code_while_objects_are_made(ask, eager_collector, monkeypatch):
    unraisable = []
    monkeypatch.setattr("sys.unraisablehook", unraisable.append)
    line, ran = Channel("owner", 10), []
    journal = Journal(lambda: None)
    for number in range(1, 4):
        line.append(frame(number))
        journal.note(frame(number))

    def then():
        ran.append(1)
        touch(line)
        journal.note(frame(9))
        journal.take()

    for _ in range(50):
        Garbage(then)
        if ask == "frames":
            line.frames()
        elif ask == "journal":
            journal.take()
        else:
            [Counters() for _ in range(3)]
    gc.collect()
    assert ran
    assert unraisable == []


def test_who_classifies_or_hears_of_a_call_may_ask_its_permit():
    asked = []

    def ask(what):
        asked.append((what, permit.is_settled))
        permit.release()

    class Asking(CircuitBreaker):
        def _classify(self, error):
            ask("classified")
            return super()._classify(error)

        def _deliver(self, rows):
            super()._deliver(rows)
            if rows[0]["kind"] == "success":
                ask("told")

    breaker = Asking(CircuitBreakerSettings(), clock=SimulatedClock(), report_calls=True)
    permit = breaker.try_acquire(0)
    assert permit is not None
    with pytest.raises(RuntimeError, match="given back before"):
        permit.record(1, 1, ValueError())
    permit = breaker.try_acquire(2)
    assert permit is not None
    assert permit.record(3, 1)
    assert asked == [("classified", False), ("told", True)]
    assert breaker.stats().totals.in_flight == 0
