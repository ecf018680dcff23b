"""Parts of the checks of queue providers: a message, receiving with a time limit, comparing.

Kept separate from the checks so that those of durable providers, and an author's own, use the same.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeAlias

import trio

from factflow_engine.frames import Frame, pack
from factflow_protocols import Delivery, FactflowError, QueueProtocol, Subscription

OpenQueue: TypeAlias = Callable[[], AbstractAsyncContextManager[QueueProtocol]]
"""Opener of a provider, which is stopped on exit. Where a check opens twice, durable queues must be the same ones."""

Check: TypeAlias = Callable[[OpenQueue], Awaitable[None]]

QUEUE: Final = "/queue/conformance"
TOPIC: Final = "/topic/conformance"

SOON_SECONDS: Final = 20.0
"""Longest time in which expected events must happen."""

QUIET_SECONDS: Final = 0.3
"""Time in which no unexpected message may arrive."""


class ConformanceError(FactflowError, AssertionError):
    """Violation of a provider's contract."""


def check_name(check: Callable[..., object]) -> str:
    """Return a check's name, for reports."""
    return getattr(check, "__name__", repr(check))


def message(number: int) -> Frame:
    """Return a message with a number as its payload and id."""
    return Frame.create(pack(number), message_id=number.to_bytes(16))


def values(deliveries: Sequence[Delivery]) -> list[Any]:
    """Return the numbers in deliveries, in order."""
    return [Frame.decode(delivery.message.encode()).value() for delivery in deliveries]


def expect(came: object, expected: object, what: str) -> None:
    """Compare two values.

    Raises:
        ConformanceError: They differ.
    """
    if came != expected:
        raise ConformanceError(f"{what}: expected {expected!r}, got {came!r}")


async def take(subscription: Subscription, count: int, *, at_a_time: int = 100) -> list[Delivery]:
    """Receive exactly so many messages.

    Raises:
        ConformanceError: Some did not arrive in time, or too many arrived.
    """
    deliveries: list[Delivery] = []
    with trio.move_on_after(SOON_SECONDS) as scope:
        while len(deliveries) < count:
            part = await subscription.receive(min(at_a_time, count - len(deliveries)))
            if not 0 < len(part) <= min(at_a_time, count - len(deliveries)):
                raise ConformanceError(f"receive() handed out {len(part)} messages, which is none or too many")
            deliveries += part
    if scope.cancelled_caught:
        raise ConformanceError(f"expected {count} messages, got {values(deliveries)} in {SOON_SECONDS:g} s")
    return deliveries


async def expect_quiet(subscription: Subscription) -> None:
    """Check that no message arrives.

    Raises:
        ConformanceError: A message arrived.
    """
    with trio.move_on_after(QUIET_SECONDS):
        came = await subscription.receive(10)
        raise ConformanceError(f"expected nothing to receive, got {values(came)}")
