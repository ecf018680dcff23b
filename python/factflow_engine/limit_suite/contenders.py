"""Algorithms that are compared: built-in ones with parameters, and the program's own.

Kept separate from the suite because here texts of the command line are read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from factflow_engine.resilience.limits import ALGORITHMS, Limit, new_limit, registered


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """An algorithm that is compared.

    Attributes:
        label: Its name in results: as it was asked for.
        name: Name of the algorithm.
        parameters: Parameters of its own, besides those that all are given.
    """

    label: str
    name: str
    parameters: dict[str, Any]

    def native(self) -> tuple[str, dict[str, Any]] | Callable[[], Limit]:
        """Return what the simulation takes: name and parameters of a built-in one, or a function that makes one."""
        if self.name in ALGORITHMS:
            return self.name, self.parameters

        def made() -> Any:
            return new_limit(self.name, **self.parameters)

        return made


def contenders(asked: Sequence[str] = ()) -> tuple[Contender, ...]:
    """Return the algorithms that texts such as `aimd:timeout_ns=1e8,window.size=10` name; all if there are none.

    Raises:
        ValueError: A text names no algorithm, or a parameter that it does not have, or one outside its bounds.
    """
    found = tuple(map(_contender, dict.fromkeys(asked or registered())))
    for contender in found:
        new_limit(contender.name, **contender.parameters)  # says what is wrong with it
    return found


def _contender(text: str) -> Contender:
    name, colon, settings = text.partition(":")
    if name not in registered():
        raise ValueError(f"no limit algorithm {name!r}; there are {', '.join(registered())}")
    parameters: dict[str, Any] = {}
    for setting in settings.split(",") if colon else ():
        path, _, number = setting.partition("=")
        *parts, last = path.strip().split(".")
        value = _number(number)
        if value is None or not last:
            raise ValueError(
                f"algorithm {text!r}: expected PARAMETER=NUMBER, got {setting!r}; write aimd:timeout_ns=1e8 or "
                "vegas:window.size=10"
            )
        inner = parameters
        for part in parts:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ValueError(  # noqa: TRY004 - the text is wrong, not a type
                    f"algorithm {text!r}: {part!r} has a number and parts; write one of them"
                )
        inner[last] = value
    return Contender(label=text, name=name, parameters=parameters)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
