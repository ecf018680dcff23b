"""Instructions to the engine in adapters' errors, also inside exception groups and with unusable numbers.

Kept separate from `dispositions`, which interprets them.
"""

import math
from typing import Final

from factflow_engine.error_texts import class_name, describe, leaves, sole_cause
from factflow_protocols import CircuitOpenError, EngineInstruction, FactflowError, Reject, RetryLater

LONGEST_SECONDS: Final = 1e9
"""Longest wait that the clock supports; an adapter may ask for any number."""


class UnreadableErrorError(FactflowError, TypeError):
    """Error that raises when it is examined: a failure of its adapter."""

    def __init__(self, error: Exception, failure: BaseException) -> None:
        super().__init__(
            f"{describe(error)}; the error could not be examined, because that raised {class_name(failure)}: correct its "
            "class"
        )
        self.__cause__ = error


class UnreadableInstructionError(FactflowError, TypeError):
    """Instruction without a usable field: a failure of its adapter."""

    def __init__(self, error: RetryLater | CircuitOpenError) -> None:
        what, fields = (
            ("delay_seconds is no number of seconds, zero or more", "delay_seconds")
            if isinstance(error, RetryLater)
            else ("name is no text", "name, retry_after_seconds")
        )
        super().__init__(f"{class_name(error)}.{what}; call super().__init__({fields}) with one")
        self.__cause__ = error


def instruction_of(error: Exception) -> Exception:
    """Return the instruction in an error; the error itself if there is none.

    An adapter that waits in a nursery raises its instruction in a group. Of several instructions the strongest applies:
    a `Reject`, else the longest wait. A group with a failure in it is a failure.
    """
    error = sole_cause(error)
    if isinstance(error, ExceptionGroup):
        held = [leaf for leaf in leaves(error) if isinstance(leaf, Exception)]
        if not all(isinstance(leaf, EngineInstruction) for leaf in held):
            return error
        error = max(held, key=_strength)
    if isinstance(error, RetryLater) and wait_of(error) is None:
        return UnreadableInstructionError(error)
    if isinstance(error, CircuitOpenError) and not isinstance(getattr(error, "name", None), str):
        return UnreadableInstructionError(error)
    return error


def wait_of(error: RetryLater | CircuitOpenError) -> float | None:
    """Return the seconds that a message must wait; None if there is no usable number."""
    name = "delay_seconds" if isinstance(error, RetryLater) else "retry_after_seconds"
    try:
        seconds = float(min(getattr(error, name), LONGEST_SECONDS))
    except Exception:  # noqa: BLE001 - the adapter's author may have made anything of it; it says nothing then
        return None
    return seconds if seconds >= 0 else None  # NaN is neither


def circuit_of(error: CircuitOpenError) -> str:
    """Return the name of the breaker that refused a call."""
    return str.__str__(error.name)  # a subclass of `str` may compare as it likes


def _strength(error: Exception) -> tuple[int, float]:
    if isinstance(error, Reject):
        return 2, 0.0
    if not isinstance(error, RetryLater | CircuitOpenError):
        return 0, 0.0
    seconds = wait_of(error)
    return 1, math.inf if seconds is None and isinstance(error, CircuitOpenError) else seconds or 0.0
