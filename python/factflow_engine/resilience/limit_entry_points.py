"""Limit algorithms of other distributions: the entry-point group `factflow.limits`, whose names are the algorithms'.

Kept separate from `limits` because reading the installed distributions is slow, and built-in algorithms do not need it.
"""

import importlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from factflow_engine.error_texts import describe

ENTRY_POINT_GROUP: Final = "factflow.limits"
"""Group of the entry points: the name is the algorithm's, the value `module:Class` of what makes it."""


def installed_algorithms() -> tuple[str, ...]:
    """Return the names of the algorithms that installed distributions have; nothing is imported."""
    return tuple(dict.fromkeys(point.name for point in _points()))


def load_algorithm(name: str) -> Callable[..., Any] | None:
    """Import what makes an installed algorithm; None if there is none of this name.

    Raises:
        ValueError: It cannot be imported or called, or two distributions have one of this name.
    """
    points = list(dict.fromkeys(point for point in _points() if point.name == name))
    if not points:
        return None
    owner = points[0].dist.name if points[0].dist is not None else "an unknown distribution"
    what = f"limit algorithm {name!r} of {owner}"
    if len(points) > 1:
        raise ValueError(f"{what}: {points[1].value} has the same name; uninstall one of them")
    try:
        made = points[0].load()
    except (Exception, SystemExit) as error:
        raise ValueError(f"{what}: {points[0].value} cannot be imported: {describe(error)}") from error
    if not callable(made):
        raise ValueError(  # noqa: TRY004 - of a package, not of an argument
            f"{what}: expected {points[0].value} to be a class or function, got {made!r:.80}"
        )
    loaded: Callable[..., Any] = made
    return loaded


def _points() -> Iterator[Any]:
    metadata = importlib.import_module("importlib.metadata")
    yield from metadata.entry_points(group=ENTRY_POINT_GROUP)
