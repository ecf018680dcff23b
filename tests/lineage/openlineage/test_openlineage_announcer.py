"""Sending out of band: order, retries, budgets, cancellation at every moment; in virtual time."""

import re

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.lineage.openlineage import Announcer, EventFactory, RoutePorts
from factflow_engine.lineage.openlineage.events import EventType
from factflow_engine.lineage.openlineage.targets import TargetError
from factflow_engine.testing.virtual_time import SimulatedClock, SimulatedRandomness, in_virtual_time

ROUTES = [RoutePorts(route=name, inbound=f"/queue/{name}", outbound=(), dead_letters=None) for name in "ab"]
EVENTS = 2 * (1 + len(ROUTES))


class Taker:
    """A target that does what its script says: sends so many and fails, fails for good, hangs, or breaks."""

    def __init__(self, script=(), seconds=0.0) -> None:
        self.script = list(script)
        self.seconds = seconds
        self.taken = []
        self.calls = []

    async def send(self, events):
        self.calls.append(trio.current_time())
        step = self.script.pop(0) if self.script else ("take", len(events))
        kind, count = step
        count = min(count, len(events))
        for event in events[:count]:
            await trio.sleep(self.seconds)
            self.taken.append((event["eventType"], event["job"]["name"]))
        if kind == "hang":
            await trio.sleep_forever()
        if kind == "break":
            raise RuntimeError("a defect with the secret in it")
        if kind == "take" and count == len(events):
            return
        raise TargetError(
            f"no: secret {kind}", sent=count, is_final=kind == "refuse", retry_after=9 if kind == "busy" else None
        )


def announcer(taker, *, finish_seconds=5.0):
    return Announcer(
        taker,
        EventFactory(namespace="n", execution_id="e", started_ns=0, pipeline="p", version="1", routes=ROUTES),
        finish_seconds=finish_seconds,
        clock=SimulatedClock(),
        randomness=SimulatedRandomness(0),
        redacted=lambda text: text.replace("secret", "${NAME}"),
    )


def run(taker, *, seconds=10.0, finish_seconds=5.0):
    """Run an execution of some length; return the sentence, and the length of its end."""

    async def main():
        sender = announcer(taker, finish_seconds=finish_seconds)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sender.run)
            await trio.sleep(seconds)
            nursery.cancel_scope.cancel()
        before = trio.current_time()
        sentence = await sender.end(EventType.COMPLETE, error=None, counts={})
        return sentence, trio.current_time() - before

    return in_virtual_time(lambda _: main(), seed=0)


ALL = [("START", "p"), ("START", "p.a"), ("START", "p.b"), ("COMPLETE", "p.a"), ("COMPLETE", "p.b"), ("COMPLETE", "p")]


def test_events_go_out_in_order_and_cost_the_end_nothing():
    taker = Taker()
    sentence, delay = run(taker)
    assert (taker.taken, sentence, delay) == (ALL, None, 0.0)


def test_a_target_that_fails_is_tried_again_after_growing_pauses():
    taker = Taker([("fail", 0), ("fail", 0), ("fail", 1), ("fail", 0)])
    sentence, _ = run(taker, seconds=60)
    assert (taker.taken, sentence) == (ALL, None)
    pauses = [later - earlier for earlier, later in zip(taker.calls, taker.calls[1:], strict=False)]
    for pause, least in zip(pauses[:4], (0.25, 0.5, 0.25, 0.5), strict=True):
        assert least <= pause <= 2 * least


def test_a_busy_target_is_left_alone_as_long_as_it_asks():
    taker = Taker([("busy", 0)])
    run(taker, seconds=60)
    assert taker.calls[1] - taker.calls[0] == 9.0


def test_an_event_that_is_refused_for_good_is_left_out_and_counted():
    taker = Taker([("refuse", 1)])
    sentence, _ = run(taker)
    assert taker.taken == [ALL[0], *ALL[2:]]
    assert sentence == "OpenLineage: 1 of 6 events could not be sent: no: ${NAME} refuse"


@pytest.mark.parametrize("script", [[("fail", 0)] * 1000, [("hang", 0)] * 9, [("busy", 0)] * 99])
def test_a_dead_target_delays_the_end_by_the_budget_and_is_reported(script):
    sentence, delay = run(Taker(script), finish_seconds=3)
    assert delay == 3.0
    assert sentence.startswith("OpenLineage: 6 of 6 events could not be sent: ")
    assert "secret" not in sentence


def test_without_a_word_from_the_target_the_sentence_says_so():
    sentence, _ = run(Taker([("hang", 0)] * 9), finish_seconds=3)
    assert sentence.endswith("there was no answer within 3 s")


def test_a_defect_of_the_target_fails_nothing():
    sentence, _ = run(Taker([("break", 0)]))
    assert sentence == "OpenLineage: 3 of 6 events could not be sent: RuntimeError: a defect with the ${NAME} in it"


def test_an_execution_that_ended_before_its_task_ran_still_announces_both():
    async def main():
        taker = Taker()
        sentence = await announcer(taker).end(EventType.FAIL, error="x", counts={})
        return taker, sentence

    taker, sentence = in_virtual_time(lambda _: main(), seed=0)
    assert sentence is None
    assert [kind for kind, _ in taker.taken] == ["START"] * 3 + ["FAIL"] * 3


_steps = st.tuples(st.sampled_from(["take", "fail", "refuse", "busy", "hang", "break"]), st.integers(0, 3))


@settings(max_examples=150)
@given(st.lists(_steps, max_size=6), st.floats(0, 30), st.floats(0, 10), st.floats(0, 2))
def test_whatever_happens_every_event_is_sent_or_counted_in_order(script, seconds, finish_seconds, taking):
    taker = Taker(script, taking)
    sentence, delay = run(taker, seconds=seconds, finish_seconds=finish_seconds)
    assert delay <= finish_seconds + 1e-6
    lost = 0 if sentence is None else int(re.match(rf"OpenLineage: ([1-6]) of {EVENTS} events could not", sentence)[1])
    # Cancelled between acceptance and answer, an event may be sent twice; none is counted as sent that was not.
    assert EVENTS - lost <= len(taker.taken)
    firsts = list(dict.fromkeys(taker.taken))
    assert firsts == [event for event in ALL if event in firsts]
