"""The home of a command: the option that names it, and its errors.

Kept separate from `home_store`, so that a run without a home imports no store.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.error_texts import sole_cause
from factflow_engine.executions.errors import (
    ConfigInUseError,
    ConfigNameError,
    ExecutionStoreUrlError,
    IdempotencyError,
    RecordValueError,
    StaleConfigError,
    UnknownRecordError,
)
from factflow_engine.executions.home import HOME_VARIABLE, Home, HomeError, find_home

F = TypeVar("F", bound=Callable[..., Any])

_OPERATORS_OWN = (
    ConfigInUseError, ConfigNameError, ExecutionStoreUrlError, HomeError, IdempotencyError, RecordValueError,
    StaleConfigError, UnknownRecordError,
)  # fmt: skip


def home_option(command: F) -> F:
    """Add `--home DIRECTORY`."""
    return click.option(
        "--home",
        type=click.Path(path_type=Path, readable=False),  # `Home` says what to do about one without rights
        metavar="DIRECTORY",
        help=f"Directory of recorded executions, lineage and objects; by default {HOME_VARIABLE}, else .factflow here.",
    )(command)


def home_of(named: Path | None) -> Home:
    """Return the home that the option, the environment or the default names. Touches nothing.

    Raises:
        InvalidInputError: No directory can have this path.
    """
    with operators_errors():
        return find_home(named)


def made(home: Home) -> Home:
    """Make a home, unless it is there, and return it.

    Raises:
        InvalidInputError: It cannot be made, or is none.
    """
    with operators_errors():
        home.make()
    return home


def is_there(home: Home) -> bool:
    """True if a home exists.

    Raises:
        InvalidInputError: Something else is in its place.
    """
    with operators_errors():
        home.check()
    return home.exists()


def existing(home: Home) -> Home:
    """Return a home that only has to be read.

    Raises:
        InvalidInputError: There is none: nothing was recorded.
    """
    if not is_there(home):
        raise InvalidInputError(nothing_there(home))
    return home


def nothing_there(home: Home) -> str:
    """Return what to say of a home that does not exist."""
    return f"there is no home at {str(home.path)!r}, so nothing was recorded there; name one with --home or {HOME_VARIABLE}"


@contextmanager
def operators_errors() -> Iterator[None]:
    """Raise errors that the operator has to act upon as errors of the input, also out of nurseries' groups."""
    try:
        yield
    except Exception as error:
        cause = sole_cause(error)
        if isinstance(cause, _OPERATORS_OWN):
            raise InvalidInputError(str(cause)) from error
        raise
