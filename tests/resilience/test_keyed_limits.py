"""Limits by key: their number is bounded, and one with calls is never evicted."""

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.resilience import BackpressureController
from factflow_engine.resilience.keyed_limits import KeyedLimits


def limits(max_keys: int) -> KeyedLimits:
    return KeyedLimits(
        lambda _: BackpressureController(algorithm="fixed", max_concurrency=2), name="x", max_keys=max_keys
    )


class Reference:
    """Slow and obvious: every key in order of its last use, with its number of calls."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.calls: OrderedDict[str, int] = OrderedDict()
        self.evicted = 0

    def enter(self, key: str) -> None:
        if key not in self.calls:
            self.evict(self.most - 1)
        self.calls[key] = self.calls.get(key, 0) + 1

    def leave(self, key: str) -> None:
        self.calls[key] -= 1
        if not self.calls[key]:
            self.calls.move_to_end(key)
            self.evict(self.most)

    def evict(self, most: int) -> None:
        for key in [key for key, calls in self.calls.items() if not calls][: max(0, len(self.calls) - most)]:
            del self.calls[key]
            self.evicted += 1


@given(
    most=st.integers(1, 4),
    steps=st.lists(st.tuples(st.booleans(), st.sampled_from("abcdefg")), max_size=80),
)
def test_the_least_recently_used_one_without_calls_goes(most, steps):
    real, reference = limits(most), Reference(most)
    held: dict[str, list[BackpressureController]] = {}
    for enters, key in steps:
        if enters:
            controller = real.enter(key)
            assert all(controller is other for other in held.setdefault(key, [])), "one with calls is kept"
            held[key].append(controller)
            reference.enter(key)
        elif held.get(key):
            held[key].pop()
            real.leave(key)
            reference.leave(key)
        assert {key for key, _ in real.items()} == set(reference.calls)
        assert real.evicted == reference.evicted
        busy = sum(1 for calls in held.values() if calls)
        assert len(real) <= max(most, busy)
        assert all(real.known(key) is calls[0] for key, calls in held.items() if calls)
