"""A controller's arguments as its algorithm's parameters, checked.

Kept separate from `backpressure` because the configuration's checks ask the same questions.
"""

import warnings
from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from factflow_engine.native import limit_parameters

MOST_CALLS: Final = 1_000_000
"""Highest limit that can be asked for."""

LONGEST_TARGET_MS: Final = 86_400_000
"""Longest latency that can be a target: a day."""

TARGETS: Final = ("target_latency_ns", "timeout_ns")
"""Parameters of algorithms that a target latency sets, the foremost first."""


def parameters_of(
    algorithm: str,
    parameters: Mapping[str, Any],
    target_latency_ms: float | None,
    least: int,
    most: int,
    initial: int | None,
) -> dict[str, Any]:
    """Return the parameters of a built-in algorithm: the given ones, and the controller's by the algorithm's names.

    Warns:
        UserWarning: There is a target, and the algorithm has none.
    """
    given = {name: dict(value) if isinstance(value, Mapping) else value for name, value in parameters.items()}
    known = limit_parameters(algorithm) or ()
    for bound, value in (("min", least), ("max", most), ("initial", initial)):
        if bound in known and value is not None:
            given.setdefault(bound, value)
    if "limit" in known:
        given.setdefault("limit", most if initial is None else initial)
    if target_latency_ms is not None:
        target = next((name for name in TARGETS if name in known), None)
        if target is not None:
            given.setdefault(target, round(target_latency_ms * 1e6))
        elif known:
            warnings.warn(
                f"target_latency_ms has no effect with algorithm {algorithm}, which has no target; leave it out",
                UserWarning,
                stacklevel=4,
            )
    return given


def has_target(algorithm: str) -> bool:
    """True if an algorithm takes a target latency: a built-in one that has such a parameter, or one of a program."""
    known = limit_parameters(algorithm)
    return known is None or any(name in known for name in TARGETS)


def check_bounds(target_latency_ms: Any, least: Any, most: Any, initial: Any) -> None:
    """Check what a controller is given.

    Raises:
        ValueError: A limit is no whole number of 1 or more, the limits contradict each other, or the target is none.
    """
    for name, number in (("min_concurrency", least), ("max_concurrency", most), ("initial_concurrency", initial)):
        if not (is_whole(number, 1, MOST_CALLS) or (number is None and name == "initial_concurrency")):
            raise ValueError(f"{name}: expected a whole number from 1 to {MOST_CALLS}, got {number!r}")
    if least > most:
        raise ValueError(f"min_concurrency: expected at most max_concurrency, which is {most}, got {least}")
    if initial is not None and not least <= initial <= most:
        raise ValueError(f"initial_concurrency: expected a limit from {least} to {most}, got {initial}")
    if target_latency_ms is not None and not (
        isinstance(target_latency_ms, int | float)
        and not isinstance(target_latency_ms, bool)
        and 0 < target_latency_ms <= LONGEST_TARGET_MS
    ):
        raise ValueError(
            f"target_latency_ms: expected a number above 0 and at most {LONGEST_TARGET_MS}, got {target_latency_ms!r}"
        )


def is_whole(number: object, least: int, most: int) -> TypeGuard[int]:
    """True if it is an int, not a bool, within closed bounds."""
    return isinstance(number, int) and not isinstance(number, bool) and least <= number <= most
