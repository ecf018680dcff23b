"""Timers ring once each at the earliest time that was set, and the replaced ones take no room."""

import weakref

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.runtime.hop.timers import FEW_REPLACED, Timers


class Ring:
    """A callback that can be counted while it is kept."""

    def __init__(self, ring):
        self._ring = ring

    def __call__(self, now):
        self._ring(now)


def died(route, error):
    raise error


async def test_timers_that_were_replaced_are_not_kept_until_they_are_due(autojump_clock):
    """Of a route with one message that waits for an hour, each retry of others left a timer behind for that hour."""
    alive = weakref.WeakSet()
    timers = Timers(on_death=died)

    def wait_an_hour(now):
        ring = Ring(lambda now: None)
        alive.add(ring)
        timers.set("route", "", hour, ring)

    hour = trio.current_time() + 3600
    async with trio.open_nursery() as nursery:
        timers.start(nursery)
        wait_an_hour(0)
        for _ in range(1000):
            timers.set("route", "", trio.current_time() + 1, Ring(wait_an_hour))
            await trio.sleep(1.5)
        assert len(alive) <= FEW_REPLACED + 3
        nursery.cancel_scope.cancel()


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ab"), st.integers(1, 200)), max_size=200))
def test_a_timer_rings_once_at_the_earliest_time_that_was_set(steps):
    async def main():
        timers, rung, expected = Timers(on_death=died), [], []
        dues = {}  # the obvious thing: what is set, by name
        begun = trio.current_time()

        def pass_by(now):
            for name, due in sorted(dues.items(), key=lambda item: item[1]):
                if due <= now:
                    expected.append((name, due))
                    del dues[name]

        async with trio.open_nursery() as nursery:
            timers.start(nursery)
            for pause, name, seconds in steps:
                await trio.sleep(pause)
                await trio.testing.wait_all_tasks_blocked()
                now = trio.current_time() - begun
                pass_by(now)
                due = now + seconds
                dues[name] = min(due, dues.get(name, due))
                timers.set("route", name, begun + due, lambda now, name=name: rung.append((name, now - begun)))
            await trio.sleep(1000)
            nursery.cancel_scope.cancel()
        pass_by(10**9)
        assert sorted(rung) == sorted(expected)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
