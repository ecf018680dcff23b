"""What it costs to ask whether a call may be made, and to tell how it went: limits and circuit breakers, by hand."""

from collections.abc import Callable

import trio

from bench.model import OURS, Case, Scale, Subject, at_most
from bench.timing import NS, calls
from factflow_engine import BackpressureController, CircuitBreaker, CircuitBreakerConfig

LATENCY_NS = 1_000_000


def cases(scale: Scale) -> list[Case]:
    """One case: a permit, and its end."""
    count = scale.of(200_000)
    return [
        Case(
            name="permit",
            answers="A permit for a call and the record of its end, from Python: what do they cost?",
            metrics=(NS,),
            subjects=(
                Subject(name=OURS, measure=calls(_limited("adaptive"), count), note="try_acquire, record; adaptive"),
                Subject(name="ours, fixed", measure=calls(_limited("fixed"), count), note="the same"),
                Subject(name="ours, CircuitBreaker", measure=calls(_broken, count), note="try_acquire, record"),
                Subject(
                    name="trio.CapacityLimiter",
                    measure=_in_trio(_borrowed, count),
                    note="acquire_on_behalf_of_nowait, release_on_behalf_of",
                ),
            ),
            targets=(at_most("ns", 250, "ns"),),
        )
    ]


def _limited(algorithm: str) -> Callable[[], object]:
    controller = BackpressureController(algorithm=algorithm)
    now = 0

    def call() -> None:
        nonlocal now
        permit = controller.try_acquire(now)
        now += LATENCY_NS
        permit.record(now)  # type: ignore[union-attr] - nobody else has one

    return call


_breaker = CircuitBreaker(CircuitBreakerConfig())


def _broken() -> None:
    permit = _breaker.try_acquire(0)
    permit.record(0, LATENCY_NS)  # type: ignore[union-attr] - it is closed


_limiter = trio.CapacityLimiter(10)


def _borrowed() -> None:
    _limiter.acquire_on_behalf_of_nowait(_limiter)
    _limiter.release_on_behalf_of(_limiter)


def _in_trio(function: Callable[[], object], count: int):  # type: ignore[no-untyped-def]
    measure = calls(function, count)

    async def run():  # type: ignore[no-untyped-def]
        return measure()

    return lambda: trio.run(run)
