"""Algorithms that are compared: built-in ones with parameters, and the program's own.

Kept separate from the suite because here texts of the command line are read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from factflow_engine.error_texts import describe
from factflow_engine.resilience.limits import ALGORITHMS, Limit, new_limit, registered
from factflow_engine.user_frames import innermost, user_frames
from factflow_protocols import FactflowError

_LARGEST: Final = 2**53


class OwnAlgorithmError(FactflowError):
    """Failure of a program's own algorithm in a comparison: its name, its error, and the line. The cause is the error."""

    def __init__(self, name: str, error: Exception, remedy: str = "") -> None:
        frame = innermost(user_frames(error))
        if frame is None and isinstance(error, ValueError):  # this engine's own text, which has the name
            super().__init__(str(error))
            return
        place = "" if frame is None else f" ({frame.file}:{frame.line})"
        super().__init__(f"limit algorithm {name!r}: {describe(error)}{place}{remedy}")


class _Named:
    """A program's own algorithm, whose errors say that they are its."""

    def __init__(self, name: str, parameters: dict[str, Any]) -> None:
        self._name = name
        try:
            self._limit = new_limit(name, **parameters)
        except Exception as error:
            remedy = f"; write its parameters as {name}:PARAMETER=NUMBER" if isinstance(error, TypeError) else ""
            raise OwnAlgorithmError(name, error, remedy) from error

    @property
    def limit(self) -> int:
        """Calls that may be in flight."""
        return self._limit.limit

    def on_sample(self, *, start_ns: int, rtt_ns: int, in_flight: int, dropped: bool = False) -> None:
        """See `Limit.on_sample`.

        Raises:
            OwnAlgorithmError: The algorithm has raised an error.
        """
        try:
            self._limit.on_sample(start_ns=start_ns, rtt_ns=rtt_ns, in_flight=in_flight, dropped=dropped)
        except Exception as error:
            raise OwnAlgorithmError(self._name, error) from error


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

        return lambda: _Named(self.name, self.parameters)


def contenders(asked: Sequence[str] = ()) -> tuple[Contender, ...]:
    """Return the algorithms that texts such as `aimd:timeout_ns=1e8,window.size=10` name; all if there are none.

    Raises:
        ValueError: A text names no algorithm, or a parameter that it does not have, or one outside its bounds.
        OwnAlgorithmError: One of the program's own cannot be made.
    """
    found = tuple(map(_contender, dict.fromkeys(asked or registered())))
    for contender in found:
        # Says what is wrong with it.
        if contender.name in ALGORITHMS:
            new_limit(contender.name, **contender.parameters)
        else:
            _Named(contender.name, contender.parameters)
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
    """Return a number, whole if it is written so; None if the text is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return int(text) if abs(number) < _LARGEST and text.strip().lstrip("+-").isdecimal() else number
