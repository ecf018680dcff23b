"""Access to an object store for the commands: its URL or the home's, and async work on it.

Kept separate from the commands so that all of them accept the same options and report the same errors.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, cast

import click
import trio

from factflow_engine.cli.console import messages
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.home import home_of, home_option, is_there
from factflow_engine.cli.interrupts import python_interrupts
from factflow_engine.cli.text import clean
from factflow_engine.errors import StorageProviderError
from factflow_engine.executions.home import Home
from factflow_engine.schemes import InFolder
from factflow_engine.storages.providers import open_storage
from factflow_protocols import StorageKeyError, StorageNotFoundError, StorageProtocol, StorageUrlError

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])

_SHOWN_EVERY_SECONDS: Final = 0.2


class StoragePlace(NamedTuple):
    """The object store of a command.

    Attributes:
        url: Its URL.
        home: The home that it belongs to; None if it was named by its URL.
    """

    url: str
    home: Home | None


def storage_options(command: F) -> F:
    """Add `--storage URL` and `--home DIRECTORY`; the command gets `url`, the store's."""

    @wraps(command)
    def with_url(*arguments: Any, place: StoragePlace, **options: Any) -> object:
        return command(*arguments, url=place.url, **options)

    return cast("F", storage_place_options(with_url))


def storage_place_options(command: F) -> F:
    """Add the same options; the command gets `place`."""

    @wraps(command)
    def with_place(*arguments: Any, storage: str | None, home: Path | None, **options: Any) -> object:
        return command(*arguments, place=_place(storage, home), **options)

    named: Callable[..., object] = click.option(
        "--storage",
        metavar="URL",
        help="The store: file://./folder, file:///folder, s3://bucket/folder, gs://..., az://...  "
        "[default: the objects of the home]",
    )(with_place)
    return cast("F", home_option(named))


def with_storage(url: str, work: Callable[[StorageProtocol], Awaitable[T]], *, must_exist: bool = True) -> T:
    """Open the store of a URL and run `work` with it.

    Args:
        url: The store.
        work: Called with it.
        must_exist: False if a folder that is not there is an empty store.

    Raises:
        InvalidInputError: The URL or a key is wrong, or there is no such store or object.
        StorageError: The store failed.
    """

    async def run() -> T:
        storage = open_storage(url)
        if must_exist and isinstance(storage, InFolder) and not storage.folder.exists():
            raise InvalidInputError(f"there is no store {clean(str(storage.folder))!r}: nothing was stored there yet")
        try:
            return await work(storage)
        finally:
            await storage.close()

    try:
        with python_interrupts():
            return trio.run(run)
    except (StorageUrlError, StorageProviderError, StorageKeyError) as error:
        raise InvalidInputError(str(error)) from error
    except StorageNotFoundError as error:
        raise InvalidInputError(f"{error}; `factflow storage list` shows those that do") from error


@contextmanager
def shown_progress() -> Iterator[Callable[[str], None]]:
    """Yield a function that shows a line on a terminal, in place of the one before; elsewhere it does nothing."""
    console = messages()
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("") as status:
        shown_at = -_SHOWN_EVERY_SECONDS

        def show(text: str) -> None:
            nonlocal shown_at
            now = trio.current_time()
            if now - shown_at >= _SHOWN_EVERY_SECONDS:
                shown_at = now
                status.update(clean(text))

        yield show


def _place(storage: str | None, home: Path | None) -> StoragePlace:
    if storage is not None:
        if home is not None:
            raise InvalidInputError("--storage and --home name two stores; write one of them")
        return StoragePlace(storage, None)
    found = home_of(home)
    if not is_there(found):
        raise InvalidInputError(
            f"there is no home {clean(str(found.path))!r}; name one with --home, or a store with --storage"
        )
    return StoragePlace(found.objects_url, found)
