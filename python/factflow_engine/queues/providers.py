"""Queue providers by the scheme of their URLs: the built-in table, and the entry-point group `factflow.queues`.

Kept separate from the providers because each is imported when a URL first needs it.
"""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

from factflow_engine.errors import QueueProviderError
from factflow_engine.schemes import SchemeTable
from factflow_protocols import AdministeredQueue, QueueAdministration, QueueProtocol, QueueUrlError

BUILT_IN_PROVIDERS: Final = {
    "memory": "factflow_engine.queues.memory:MemoryQueue",
    "sqlite": "factflow_engine.queues.sqlite:SqliteQueue",
}
"""Scheme to `module:Class`, followed by `[extra]` if the class needs an extra of this distribution."""

ENTRY_POINT_GROUP: Final = "factflow.queues"
"""Group of other distributions' entry points: the name is the scheme, the value as above. Built-in schemes are
reserved."""


def _file_hint(url: str) -> str:
    is_file = Path(url).suffix in {".db", ".sqlite", ".sqlite3"}
    return f"write sqlite:///{url} for a file; " if is_file else ""


_TABLE: Final[SchemeTable[QueueProtocol]] = SchemeTable(
    noun="queue",
    built_in=BUILT_IN_PROVIDERS,
    group=ENTRY_POINT_GROUP,
    protocol=QueueProtocol,  # type: ignore[type-abstract]  # it is only asked for with isinstance
    url_error=QueueUrlError,
    provider_error=QueueProviderError,
    hint=_file_hint,
)


def is_built_in(url: str) -> bool:
    """True if the URL's provider is part of this distribution: opening it imports nobody else's code."""
    return _TABLE.is_built_in(url)


def open_queue(url: str, *, directory: Path | None = None) -> QueueProtocol:
    """Return the queue provider that a URL names, such as `memory://` or `sqlite:///file.db`. Nothing is opened yet.

    Args:
        url: The URL; its scheme selects the provider, which reads the rest.
        directory: Folder that relative paths start from; the working directory by default.

    Raises:
        QueueUrlError: No provider has this scheme, or the provider cannot read the URL.
        QueueProviderError: The provider cannot be used, for example because a dependency is not installed.

    Example:
        queue = open_queue("sqlite:///queue.db")
        async with OrchestratorManager(registry=registry, queue=queue) as manager: ...
        await queue.stop()
    """
    return _TABLE.open(url, directory=directory)


def open_administration(url: str) -> AbstractAsyncContextManager[QueueAdministration]:
    """Return the administration of the store that a URL names; entering it opens the store.

    Raises:
        QueueUrlError: See `open_queue`; or the provider offers no administration.
        QueueProviderError: See `open_queue`.
    """
    queue = open_queue(url)
    if not isinstance(queue, AdministeredQueue):
        raise QueueUrlError(
            url,
            f"its provider {type(queue).__name__} has no administration, so nothing can be looked at or changed here",
        )
    return queue.open_administration()
