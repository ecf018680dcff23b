"""Strategy for plans of faults that fit the queues and stages of a configuration.

Kept separate from `simulation.faults`, the plans themselves, which work without hypothesis.
"""

from collections.abc import Collection, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, Final

from hypothesis import strategies as st

from factflow_engine.config import PipelineGlobalConfig
from factflow_engine.testing.simulation.faults import KINDS, Fault
from factflow_engine.testing.strategies.errors import StrategyError

DEFAULT_KINDS: Final = tuple(kind for kind in KINDS if kind not in {"power_cut", "rates"})
"""Kinds of faults that are drawn unless others are named: all but power cuts, which need files, and rates, which draw from
the seed, so that nothing could be left out of the plan."""

MEMORY_KINDS: Final = (
    "cancel_execution",
    "fail_storage",
    "step_clock",
    "skew_clock",
    "slow_stage",
    "stick_stage",
    "fail_stage",
)
"""Kinds of faults that a run on `memory://` takes: messages in memory end with the process, and nothing
comes between a queue and its reader."""

_SECONDS: Final = st.sampled_from((1, 0, 0.1, 5, 30, 120))
_COUNTS: Final = st.integers(1, 5)
_STEPS: Final = st.integers(1, 200)
_LIVES: Final = st.integers(0, 2)
_OPERATIONS: Final = {
    "fail_queue": st.sampled_from(("publish", "receive", "settle")),
    "fail_storage": st.sampled_from(("write", "read", "stream", "metadata", "exists", "list", "delete")),
}
_RATES: Final = st.sampled_from((0.0, 0.01, 0.1, 0.5))
_VALUES: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "nth": _COUNTS,
    "behind": _COUNTS,
    "seconds": _SECONDS,
    "from_seconds": st.sampled_from((0, 1, 0.1, 5, 30, 120)),
    "extra_seconds": _SECONDS,
    "done": st.booleans(),
    "restart_after": st.sampled_from((1.0, 0, 10, None)),
    "rate": st.sampled_from((1.0, 0.9, 1.001, 2)),
    "until": st.sampled_from((60, 10, None)),
}


def fault_plans(
    config: PipelineGlobalConfig | None = None,
    *,
    queues: Collection[str] = (),
    stages: Collection[str] = (),
    processes: int = 1,
    kinds: Collection[str] | None = None,
    most: int = 5,
) -> st.SearchStrategy[tuple[Fault, ...]]:
    """Return a strategy for plans of faults: small ones, which shrink to no fault at all.

    A kind of fault that needs a queue or a stage is left out if there is none.

    Args:
        config: The configuration whose queues, those that routes read, and whose stages have the faults.
        queues: Queues, without a configuration or beside its own, as `/queue/parse`.
        stages: Stages likewise, as `parse/fetch`.
        processes: Number of processes of the run, in which faults of processes occur.
        kinds: Kinds of faults, keys of `simulation.faults.KINDS`; None: `DEFAULT_KINDS`, for `queue="broker://"`. A run on
            `memory://` takes `MEMORY_KINDS`.
        most: Most faults of a plan.

    Raises:
        StrategyError: An argument is none of these, or no kind of fault is left.

    Example:
        plans = fault_plans(config, kinds=["duplicate", "crash"], most=2)
    """
    named = list(DEFAULT_KINDS if kinds is None else [kinds] if isinstance(kinds, str) else kinds)
    for name in named:
        if name not in KINDS:
            raise StrategyError(f"kinds: expected some of {', '.join(KINDS)}, got {name!r}")
    if most < 0 or processes < 1:
        raise StrategyError(f"expected most=0 or more and processes=1 or more, got {most} and {processes}")
    routes = {} if config is None else config.routes
    all_queues = dict.fromkeys([*(route.inbound.queue for route in routes.values()), *queues])
    own = [f"{name}/{stage.name}" for name, route in routes.items() for stage in route.adapters]
    found = [_faults(name, tuple(all_queues), tuple(dict.fromkeys([*own, *stages])), processes) for name in named]
    possible = [faults for faults in found if not faults.is_empty]
    if not possible:
        raise StrategyError(f"expected queues or stages for faults of {', '.join(named) or 'no kind'}, got none")
    return st.lists(st.one_of(possible), max_size=most).map(tuple)


@cache
def _faults(
    name_of_kind: str, queues: tuple[str, ...], stages: tuple[str, ...], processes: int
) -> st.SearchStrategy[Fault]:
    kind = KINDS[name_of_kind]
    names = {field.name: field.default for field in fields(kind)}
    places = {"queue": queues, "stage": stages}
    if any(name in names and not given for name, given in places.items()):
        return st.nothing()
    values: dict[str, st.SearchStrategy[Any]] = {}
    for name, default in names.items():  # in their order, not that of a set, which differs from process to process
        if name in {"at", "step", "life"}:
            continue
        if name in places:
            values[name] = st.sampled_from(places[name])
        elif name == "process":
            values[name] = st.sampled_from(_numbers_of(kind, processes))
        elif name == "operation":
            values[name] = _OPERATIONS[kind.kind]
        elif kind.kind == "step_clock" and name == "seconds":
            values[name] = st.sampled_from((1, -1, 0.001, 3_600, -3_600))
        elif kind.kind == "rates" and name != "until":
            values[name] = st.sampled_from((0.0, 60.0, 10.0)) if name.endswith("_seconds") else _RATES
        elif name == "nth" and default is None:
            values[name] = st.none() | _COUNTS
        else:
            values[name] = _VALUES[name]
    if "step" not in names:
        return st.builds(kind, **values, **({"at": _SECONDS} if "at" in names else {}))
    return st.builds(kind, at=_SECONDS, **values) | st.builds(kind, step=_STEPS, life=_LIVES, **values)


def _numbers_of(kind: type[Fault], processes: int) -> tuple[int | None, ...]:
    """Return what may stand for the processes of a fault, its default first; None is all of them."""
    numbers = tuple(range(processes))
    if kind.kind == "cancel_execution":
        return numbers
    return (*numbers, None) if kind.kind == "crash" else (None, *numbers)
