"""The measure of growth by which other tests tell linear from quadratic: what is disturbed passes, what grows does not."""

import pytest

from support import timings


class Calls:
    """A clock, and calls whose costs are as given; every `disturbed`th takes a hundred times as long."""

    def __init__(self, monkeypatch, disturbed=0):
        self.now = 0.0
        self.count = 0
        self.disturbed = disturbed
        monkeypatch.setattr(timings.time, "thread_time", lambda: self.now)

    def of(self, seconds):
        def call():
            self.count += 1
            self.now += seconds * (100 if self.disturbed and self.count % self.disturbed == 0 else 1)

        return call


@pytest.mark.parametrize("disturbed", [0, 2, 3, 5, 7])
def test_what_grows_with_its_input_passes_even_when_calls_are_disturbed(monkeypatch, disturbed):
    calls = Calls(monkeypatch, disturbed)
    assert timings.grows_at_most(9, calls.of(0.1), calls.of(0.4))


def test_what_grows_with_the_square_fails_though_it_is_measured_again(monkeypatch):
    calls = Calls(monkeypatch)
    assert not timings.grows_at_most(9, calls.of(0.1), calls.of(1.6))
    assert calls.count == 2 * timings.CALLS * timings.ATTEMPTS
