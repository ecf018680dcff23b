"""The simulated broker against the real providers: any history shows the same on both."""

from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.testing import in_virtual_time
from factflow_engine.testing.conformance.expectations import ConformanceError
from factflow_engine.testing.simulation.broker import Broker, BrokerConnection, compare_queues
from factflow_engine.testing.simulation.broker.histories import (
    CONSUMERS,
    QUEUES,
    Carry,
    Die,
    Fate,
    Forget,
    Glimpse,
    Leave,
    Publish,
    Receive,
    Reopen,
    Settle,
    SettleAgain,
    Wait,
    random_history,
)  # fmt: skip
from factflow_engine.testing.simulation.broker.line import Line
from factflow_engine.testing.simulation.broker.store import Store
from factflow_engine.testing.simulation.broker.subscription import BrokerSubscription
from factflow_protocols import QueueError
from support.internals import writer_of
from support.sqlite_queues import simulated

KINDS = {
    "plain": {},
    "in order": {"in_order": True},
    "isolating": {"isolates": True, "prefetch": 50},
    "roomy": {"capacity": 1000, "prefetch": 50},
    "tight": {"capacity": 2, "prefetch": 1},
}


def broker_opener(simulation):
    return Broker(randomness=simulation.randomness, clock=simulation.seams.clock, lease_seconds=1.0).open


def sqlite_opener(folder):
    @asynccontextmanager
    async def open_queue():
        queue = simulated(Path(folder) / "q.db")
        submit = writer_of(queue).submit
        try:
            yield queue
        finally:
            writer_of(queue).submit = submit
            await queue.stop()

    return open_queue


def kill(queue):
    if isinstance(queue, BrokerConnection):
        queue.die()
        return

    async def submit(request):
        raise QueueError("its", "process is dead")

    writer_of(queue).submit = submit


def compare_with_sqlite(**options):
    async def run(simulation):
        with TemporaryDirectory() as folder:
            await compare_queues(broker_opener(simulation), sqlite_opener(folder), kill=kill, **options)

    in_virtual_time(run, seed=0)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_random_history_shows_the_same_on_sqlite(kind):
    compare_with_sqlite(seed=1, steps=25, **kind)


def test_a_line_that_was_forgotten_has_its_capacity_again():
    history = [
        Forget(consumer=3),
        Leave(consumer=3),
        Publish(queue=2, numbers=(75,)),
        Publish(queue=2, numbers=(19, 89)),
    ]
    compare_with_sqlite(history=history, **KINDS["tight"])


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_long_histories_show_the_same_on_sqlite(kind):
    for seed in range(60):
        compare_with_sqlite(seed=seed, steps=80, **kind)


consumers, queues = st.integers(0, len(CONSUMERS) - 1), st.integers(0, len(QUEUES) - 1)
numbers = st.lists(st.integers(0, 30), min_size=1, max_size=5).map(tuple)
fates = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(Fate)), min_size=1, max_size=4).map(tuple)
steps = st.one_of(
    st.builds(Publish, queues, numbers),
    st.builds(Receive, consumers, st.integers(1, 6)),
    st.builds(Settle, consumers, fates),
    st.builds(Carry, consumers, st.integers(0, 3), st.lists(st.tuples(queues, numbers), max_size=2).map(tuple)),
    st.builds(Glimpse, consumers),
    st.builds(SettleAgain, consumers),
    st.builds(Leave, consumers),
    st.builds(Die, st.integers(0, 1)),
    st.just(Reopen()),
    st.builds(Forget, consumers),
    st.builds(Wait, st.integers(1, 3)),
)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, min_size=5, max_size=15), st.sampled_from(list(KINDS)))
def test_any_history_shows_the_same_on_sqlite(history, kind):
    compare_with_sqlite(history=history, **KINDS[kind])


@pytest.mark.slow
@pytest.mark.timeout(3000)
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, min_size=5, max_size=40), st.sampled_from(list(KINDS)))
def test_any_long_history_shows_the_same_on_sqlite(history, kind):
    compare_with_sqlite(history=history, **KINDS[kind])


def compare_with_memory(**options):
    async def run(simulation):
        memory = MemoryQueue()

        @asynccontextmanager
        async def open_queue():
            yield memory

        await compare_queues(broker_opener(simulation), open_queue, capacity=1000, prefetch=1000, **options)

    in_virtual_time(run, seed=0)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(steps, min_size=5, max_size=40))
def test_any_history_shows_the_same_on_the_memory_provider(history):
    compare_with_memory(history=history)


@pytest.mark.parametrize("seed", range(5))
def test_a_random_history_shows_the_same_on_the_memory_provider(seed):
    compare_with_memory(seed=seed, steps=100)


def lose_acks(monkeypatch):
    monkeypatch.setattr(Store, "ack", lambda self, line, entry: self.release(line, [entry]))


def hand_out_the_newest_first(monkeypatch):
    claim = Line.claim

    def newest_first(self, *arguments, **options):
        self._fresh.reverse()
        claimed = claim(self, *arguments, **options)
        self._fresh.reverse()
        return claimed

    monkeypatch.setattr(Line, "claim", newest_first)


def count_no_attempts(monkeypatch):
    give_back = Line.give_back
    monkeypatch.setattr(
        Line, "give_back", lambda self, entry, *, due_ns=0, counts=False: give_back(self, entry, due_ns=due_ns)
    )


def forget_delays(monkeypatch):
    give_back = Line.give_back
    monkeypatch.setattr(
        Line, "give_back", lambda self, entry, *, due_ns=0, counts=False: give_back(self, entry, counts=counts)
    )


def know_no_duplicates(monkeypatch):
    monkeypatch.setattr(Line, "knows", lambda *arguments: False)


def have_endless_room(monkeypatch):
    monkeypatch.setattr(Line, "room", property(lambda self: 1000))


def keep_the_leases_of_the_dead(monkeypatch):
    monkeypatch.setattr(BrokerSubscription, "die", lambda self, now_ns: None)


def publish_without_settling(monkeypatch):
    publish_and_settle = BrokerSubscription.publish_and_settle
    monkeypatch.setattr(
        BrokerSubscription,
        "publish_and_settle",
        lambda self, publications, acks: publish_and_settle(self, publications, []),
    )


@pytest.mark.parametrize(
    "broken",
    [
        lose_acks,
        hand_out_the_newest_first,
        count_no_attempts,
        forget_delays,
        know_no_duplicates,
        have_endless_room,
        keep_the_leases_of_the_dead,
        publish_without_settling,
    ],
)
def test_a_broker_that_does_something_wrong_is_found(broken, monkeypatch):
    broken(monkeypatch)

    def search():
        for seed in range(20):
            compare_with_sqlite(seed=seed, steps=40)

    with pytest.raises(ExceptionGroup) as caught:
        search()
    assert caught.group_contains(ConformanceError, match="the providers differ at step")


def test_a_difference_is_told_with_its_history(monkeypatch):
    lose_acks(monkeypatch)
    history = random_history(3, 60)
    with pytest.raises(ExceptionGroup) as caught:
        compare_with_memory(history=history)
    error = caught.value
    while isinstance(error, BaseExceptionGroup):
        [error] = error.exceptions
    first, *lines = str(error).splitlines()
    assert first.startswith("the providers differ at step ")
    count = int(first.split()[5].rstrip(":"))
    assert lines[-count - 1] == "the history:"
    names = {each.__name__: each for each in (Publish, Receive, Glimpse, Settle, SettleAgain, Carry, Leave, Die)}
    told = "[" + "".join(lines[-count:]) + "]"
    assert eval(told, {**names, "Reopen": Reopen, "Forget": Forget, "Wait": Wait, "Fate": Fate}) == history[:count]
