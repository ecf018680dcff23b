"""A configuration's section on limits as an algorithm's arguments, checked by making the algorithm.

A configuration writes durations in milliseconds (`timeout_ms`), the algorithms take nanoseconds (`timeout_ns`). Kept
separate from the models because the loader, which checks a section, and a start, which imports no models, must agree.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

from factflow_engine.error_texts import describe
from factflow_engine.native import limit_parameters
from factflow_engine.resilience.limits import ALGORITHMS, is_registered, new_limit, registered

WINDOW_PARAMETERS: Final = (
    "min_window_ms", "max_window_ms", "size", "min_rtt_threshold_ms", "percentile", "percentile_samples",
)  # fmt: skip
"""Parameters of `window`, by the names that a configuration has for them."""

_FIELDS: Final = {
    "min": "min_concurrency",
    "max": "max_concurrency",
    "initial": "initial_concurrency",
    "limit": "max_concurrency",
    "target_latency_ns": "target_latency_ms",
}
"""Parameters that are fields of the section, by the algorithm's name."""

DEFAULT_ALGORITHM: Final = "adaptive"

_NS_IN_MS: Final = 1_000_000


class LimitSection(Protocol):
    """Fields of a configuration's `backpressure` section that a controller is made of."""

    @property
    def algorithm(self) -> str: ...  # noqa: D102
    @property
    def parameters(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def target_latency_ms(self) -> float | None: ...  # noqa: D102
    @property
    def min_concurrency(self) -> int: ...  # noqa: D102
    @property
    def max_concurrency(self) -> int: ...  # noqa: D102
    @property
    def initial_concurrency(self) -> int | None: ...  # noqa: D102
    @property
    def monitor_only(self) -> bool: ...  # noqa: D102


class ParameterProblem(NamedTuple):
    """A parameter that an algorithm does not take.

    Attributes:
        inside: Path of the parameter among the parameters; empty for all of them together.
        problem: Description.
        remedy: Remedy; empty if `known` has the names to choose from.
        known: Names that would be known in its place; empty if its name is.
    """

    inside: tuple[str, ...]
    problem: str
    remedy: str = ""
    known: tuple[str, ...] = ()


def parameter_names(algorithm: str) -> tuple[str, ...] | None:
    """Return the names that a configuration has for a built-in algorithm's own parameters; None for one of a program."""
    known = limit_parameters(algorithm)
    if known is None:
        return None
    own = tuple(_written(name) for name in known if name not in _FIELDS and name not in {"probe_jitter", "window"})
    return (*own, "window") if _takes_windows(algorithm) else own


def parameter_problems(algorithm: str, parameters: Mapping[str, Any]) -> tuple[ParameterProblem, ...]:
    """Return the problems of an algorithm's parameters, found by making the algorithm; empty if there are none."""
    names = parameter_names(algorithm)
    if names is None:
        try:
            new_limit(algorithm, **native_arguments(algorithm, parameters))
        except Exception as error:  # noqa: BLE001 - the program's own algorithm may raise anything
            text = f"algorithm {algorithm} refuses its parameters: {describe(error)}"
            return (ParameterProblem((), text[:300], "write parameters that it takes"),)
        return ()
    found = [_problem_of(algorithm, name, value, names) for name, value in parameters.items()]
    together = _problem_of_building(algorithm, parameters, ()) if not any(found) else None
    return tuple(problem for problem in (*found, together) if problem is not None)


def _problem_of(algorithm: str, name: str, value: Any, names: tuple[str, ...]) -> ParameterProblem | None:
    if name in _FIELDS:
        field = _FIELDS[name]
        return ParameterProblem((name,), f"{name} is the section's {field}", f"write {field}: beside algorithm:")
    if name == "window" and name not in names:
        return ParameterProblem((name,), f"algorithm {algorithm} has windows of its own", "remove window")
    if name not in names:
        return ParameterProblem((name,), f"algorithm {algorithm} has no parameter {name[:60]!r}", known=names)
    if name != "window":
        return _problem_of_value(algorithm, (name,), value, {name: value})
    if not isinstance(value, Mapping):
        return ParameterProblem((name,), f"window: expected a mapping, got {value!r:.60}", "write window: {size: 10}")
    for inner, number in value.items():
        if inner not in WINDOW_PARAMETERS:
            text = f"a window has no parameter {inner[:60]!r}"
            return ParameterProblem((name, inner), text, known=WINDOW_PARAMETERS)
        problem = _problem_of_value(algorithm, (name, inner), number, {name: {inner: number}})
        if problem is not None:
            return problem
    return None


def _problem_of_value(
    algorithm: str, inside: tuple[str, ...], value: Any, parameters: Mapping[str, Any]
) -> ParameterProblem | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ParameterProblem(inside, f"{inside[-1]}: expected a number, got {value!r:.60}", "write a number")
    return _problem_of_building(algorithm, parameters, inside)


def _problem_of_building(
    algorithm: str, parameters: Mapping[str, Any], inside: tuple[str, ...]
) -> ParameterProblem | None:
    try:
        new_limit(algorithm, **native_arguments(algorithm, parameters))
    except (ValueError, TypeError) as error:
        return ParameterProblem(inside, _in_ms(str(error)), "write a value within the bounds")
    return None


def native_arguments(algorithm: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters by the algorithm's names; a program's own algorithm takes them as they are written."""
    if algorithm not in ALGORITHMS:
        return dict(parameters)
    return {_native(name): _native_value(name, value) for name, value in parameters.items()}


def _native_value(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_native(inner): _native_value(inner, number) for inner, number in value.items()}
    return round(value * _NS_IN_MS) if name.endswith("_ms") and isinstance(value, int | float) else value


def _native(name: str) -> str:
    return f"{name.removesuffix('_ms')}_ns" if name.endswith("_ms") else name


def _written(name: str) -> str:
    return f"{name.removesuffix('_ns')}_ms" if name.endswith("_ns") else name


def _in_ms(text: str) -> str:
    """Return the text of an algorithm's error with its nanoseconds as milliseconds."""
    if "_ns:" not in text:
        return text
    return re.sub(r"\d+(\.\d+)?", lambda found: f"{float(found[0]) / _NS_IN_MS:g}", text.replace("_ns:", "_ms:"))


def _takes_windows(algorithm: str) -> bool:
    try:
        new_limit(algorithm, window={})
    except ValueError:
        return False
    return True


def is_known(algorithm: str) -> bool:
    """True if there is an algorithm of this name: built in, registered by the program, or installed."""
    return algorithm in ALGORITHMS or algorithm in registered()


def is_imported(algorithm: str) -> bool:
    """True if making this algorithm may import a package that has it."""
    return algorithm not in ALGORITHMS and not is_registered(algorithm)
