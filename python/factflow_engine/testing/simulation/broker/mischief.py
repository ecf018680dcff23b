"""Faults of a simulated queue: which message, delivery or call goes wrong, by a plan and by rates.

Counts messages, deliveries and calls from 1, and notes each fault that happens as one without a rate, so that a run with
these for its plan is the same run. Kept separate from the broker, which makes them happen.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple, TypeVar

from factflow_engine.seams import Randomness
from factflow_engine.testing.simulation.faults import (
    Delay,
    DropDelivery,
    Duplicate,
    FailQueue,
    Fault,
    FaultRates,
    LoseLease,
    Reorder,
)

MOST_BEHIND: Final = 8
"""Most messages that one which is reordered by a rate lets pass."""

LONGEST_SECONDS: Final = 10.0
"""Longest delay by a rate."""

F = TypeVar("F", bound=Fault)
Operation = Literal["publish", "receive", "settle"]


class Acceptance(NamedTuple):
    """Faults of one message that is accepted; None for those that do not happen."""

    duplicate: Duplicate | None
    delay: Delay | None
    reorder: Reorder | None


HARMLESS: Final = Acceptance(None, None, None)


class Mischief:
    """Faults of one broker.

    Attributes:
        fired: The faults that have happened, in order, those of rates as faults without a rate.
    """

    def __init__(
        self,
        faults: Sequence[Fault],
        *,
        randomness: Randomness,
        seconds: Callable[[], float],
        note: Callable[[str, Fault, bytes | None], None],
    ) -> None:
        """Prepare.

        Args:
            faults: The plan; what is no fault of a queue is passed over.
            randomness: Decides what rates draw; nothing is drawn without a rate.
            seconds: Returns the present time, from the beginning of the run.
            note: Called with the queue, each fault that happens, and the id of its message.
        """
        self.fired: Final[list[Fault]] = []
        self._randomness = randomness
        self._seconds = seconds
        self._note = note
        self._counts: Counter[tuple[str, str]] = Counter()  # by what is counted, and the queue or the operation
        self._rates = [fault for fault in faults if isinstance(fault, FaultRates)]
        self._planned: dict[tuple[str, str, int], Fault] = {}
        for fault in faults:
            if isinstance(fault, (Duplicate, Delay, Reorder, DropDelivery, LoseLease)):
                self._planned[fault.kind, fault.queue, fault.nth] = fault
            elif isinstance(fault, FailQueue):
                self._planned[fault.kind, fault.operation, fault.nth] = fault
        self._is_harmless = not (self._planned or self._rates)  # then nothing need be counted

    def unfired(self) -> list[Fault]:
        """Return the planned faults that have not happened yet."""
        return [fault for fault in self._planned.values() if fault not in self.fired]

    def of_message(self, queue: str, message_id: bytes) -> Acceptance:
        """Count a message that a queue accepts; return its faults."""
        if self._is_harmless:
            return HARMLESS
        nth = self._next("accepted", queue)
        duplicate = self._planned_or(Duplicate, queue, nth, lambda: Duplicate(queue=queue, nth=nth))
        delay = self._planned_or(
            Delay, queue, nth, lambda: Delay(queue=queue, nth=nth, seconds=round(self._below(LONGEST_SECONDS), 3))
        )
        reorder = self._planned_or(
            Reorder, queue, nth, lambda: Reorder(queue=queue, nth=nth, behind=1 + int(self._below(MOST_BEHIND)))
        )
        for fault in (duplicate, delay, reorder):
            self._happens(queue, fault, message_id)
        return Acceptance(duplicate, delay, reorder)

    def of_delivery(self, queue: str, message_id: bytes) -> DropDelivery | LoseLease | None:
        """Count a delivery of a queue; return its fault. One that is dropped loses no lease."""
        if self._is_harmless:
            return None
        nth = self._next("delivered", queue)
        drop = self._planned_or(DropDelivery, queue, nth, lambda: DropDelivery(queue=queue, nth=nth))
        lose = self._planned_or(LoseLease, queue, nth, lambda: LoseLease(queue=queue, nth=nth))
        fault = drop or lose
        self._happens(queue, fault, message_id)
        return fault

    def of_call(self, operation: Operation, queue: str) -> FailQueue | None:
        """Count a call of an operation; return its fault."""
        if self._is_harmless:
            return None
        nth = self._next("called", operation)

        def drawn() -> FailQueue:
            return FailQueue(operation=operation, nth=nth, done=self._below(1) < 0.5)

        fault = self._planned_or(FailQueue, operation, nth, drawn)
        self._happens(queue, fault, None)
        return fault

    def _next(self, what: str, where: str) -> int:
        self._counts[what, where] += 1
        return self._counts[what, where]

    def _planned_or(self, kind: type[F], where: str, nth: int, drawn: Callable[[], F]) -> F | None:
        planned = self._planned.get((kind.kind, where, nth))
        found: F | None = planned if isinstance(planned, kind) else None
        for rates in self._rates:
            rate = getattr(rates, kind.kind)
            if rate and (rates.until is None or self._seconds() < rates.until) and self._below(1) < rate:
                found = found or drawn()
        return found

    def _below(self, bound: float) -> float:
        return self._randomness.uniform(0, bound)

    def _happens(self, queue: str, fault: Fault | None, message_id: bytes | None) -> None:
        if fault is not None:
            self.fired.append(fault)
            self._note(queue, fault, message_id)
