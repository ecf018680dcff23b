"""Concurrency limits of one execution: of its routes, of stages, by key, and those that several share.

Kept separate from `stage_limit`, which limits one stage's calls, because only this module knows who shares a limit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from factflow_engine import resilience
from factflow_engine.native import WorkerPool
from factflow_engine.resilience.keyed_limits import KeyedLimits
from factflow_engine.resilience.limit_parameters import has_target
from factflow_engine.resilience.limit_settings import LimitSection, native_arguments
from factflow_engine.seams import Clock, Randomness

if TYPE_CHECKING:
    from factflow_engine.config import BackpressureConfig
    from factflow_engine.resilience import BackpressureController, LimitStatistics

logger = logging.getLogger("factflow_engine.runtime")

MOST_SHOWN: Final = 1_000
"""Most limits by key of one stage or group that are listed."""


class Limits:
    """The limits of one execution by name: `route`, `route/stage`, `group NAME`, each followed by `[key]` if it has keys.

    Attributes:
        leave_out: Leaves nanoseconds out of what the route's limit learns of the running message.
    """

    def __init__(
        self, clock: Clock, randomness: Randomness, pool: WorkerPool, *, learnt: Mapping[str, Any] | None = None
    ) -> None:
        """Prepare; `learnt` is what `learnt()` of an earlier execution has returned, if its limits are to go on from there."""
        self.leave_out: Final[Callable[[int], None]] = pool.leave_out
        self._clock = clock
        self._randomness = randomness
        self._by_name: dict[str, KeyedLimits] = {}
        self._learnt = learnt or {}
        self._warm: set[str] = set()  # names of limits whose section has a warm start

    def of_route(self, route: str, section: BackpressureConfig, most: int) -> BackpressureController:
        """Return the controller of a route, for as long as the execution lasts.

        Args:
            route: Id of the route.
            section: The route's section.
            most: Most messages that may be in flight on the route, whatever the section says; a shared limit has none.
        """
        limits = self._limits(route, section, most if section.group is None else None)
        return limits.enter("")  # which nothing leaves

    def of_stage(self, place: str, section: BackpressureConfig) -> KeyedLimits:
        """Return the controllers of a stage by key; of one without a key, the key is empty."""
        return self._limits(place, section, None)

    def statistics(self, *, keys: bool) -> dict[str, LimitStatistics]:
        """Return the state and history of each limit by its name; those that have a key only if asked for."""
        return {
            name: controller.statistics()
            for limits in self._by_name.values()
            for name, controller in _named(limits)
            if keys or name == limits.name
        }

    def learnt(self) -> dict[str, Any]:
        """Return what the limits with a warm start have learnt, by name; JSON can hold it."""
        return {
            name: controller.snapshot()
            for limits in self._by_name.values()
            if limits.name in self._warm
            for name, controller in _named(limits)
        }

    def _limits(self, place: str, section: BackpressureConfig, most: int | None) -> KeyedLimits:
        name = place if section.group is None else f"group {section.group}"
        limits = self._by_name.get(name)
        if limits is None:
            make = partial(self._controller, section, most, name)
            if section.warm_start and not section.is_fixed:
                self._warm.add(name)
            limits = self._by_name[name] = KeyedLimits(make, name=name, max_keys=section.max_keys)
        return limits

    def _controller(self, section: BackpressureConfig, most: int | None, name: str, key: str) -> BackpressureController:
        seed = int.from_bytes(self._randomness.token(8))
        controller = controller_of(section, clock=self._clock, seed=seed, most=most)
        learnt = self._learnt.get(_name_of(name, key)) if name in self._warm else None
        if learnt is not None:
            try:
                controller.restore(learnt, self._clock.monotonic_ns())
            except (AttributeError, ValueError) as error:
                logger.warning("limit %s begins without what was stored of it: %s", _name_of(name, key), error)
        return controller


def controller_of(section: LimitSection, *, clock: Clock, seed: int, most: int | None = None) -> BackpressureController:
    """Make the controller that a section describes.

    Args:
        section: The section.
        clock: Clock of the execution.
        seed: Seed of the algorithm's randomness, if it has any.
        most: Limit that another setting imposes; None: none.

    Raises:
        ValueError: An argument is outside its bounds, or the algorithm has no such parameter.
    """
    greatest = section.max_concurrency if most is None else min(section.max_concurrency, most)
    least = min(section.min_concurrency, greatest)
    initial = section.initial_concurrency
    return resilience.BackpressureController(
        algorithm=section.algorithm,
        target_latency_ms=section.target_latency_ms if has_target(section.algorithm) else None,
        min_concurrency=least,
        max_concurrency=greatest,
        initial_concurrency=None if initial is None else max(least, min(initial, greatest)),
        now_ns=clock.monotonic_ns(),
        seed=seed,
        monitor_only=section.monitor_only,
        clock=clock,
        **native_arguments(section.algorithm, section.parameters),
    )


def _named(limits: KeyedLimits) -> Iterator[tuple[str, BackpressureController]]:
    for shown, (key, controller) in enumerate(limits.items()):
        if shown == MOST_SHOWN:
            return
        yield _name_of(limits.name, key), controller


def _name_of(name: str, key: str) -> str:
    return f"{name}[{key}]" if key else name
