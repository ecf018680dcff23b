"""Object stores by the scheme of their URLs: the built-in table, and the entry-point group `factflow.storages`.

Kept separate from the stores because each is imported when a URL first needs it.
"""

from pathlib import Path
from typing import Final

from factflow_engine.errors import StorageProviderError
from factflow_engine.schemes import SchemeTable
from factflow_engine.seams import Seams
from factflow_protocols import StorageProtocol, StorageUrlError

BUILT_IN_PROVIDERS: Final = {
    "az": "factflow_engine.storages.bucket:BucketStorage [objects]",
    "file": "factflow_engine.storages.file:FileStorage",
    "gs": "factflow_engine.storages.bucket:BucketStorage [objects]",
    "memory": "factflow_engine.storages.memory:MemoryStorage",
    "s3": "factflow_engine.storages.bucket:BucketStorage [objects]",
}
"""Scheme to `module:Class`, followed by `[extra]` if the class needs an extra of this distribution."""

ENTRY_POINT_GROUP: Final = "factflow.storages"
"""Group of other distributions' entry points: the name is the scheme, the value as above. Built-in schemes are
reserved."""


def _folder_hint(url: str) -> str:
    return f"write file://{url if url.startswith(('/', './', '../')) else './' + url} for a folder; " if url else ""


_TABLE: Final[SchemeTable[StorageProtocol]] = SchemeTable(
    noun="storage",
    built_in=BUILT_IN_PROVIDERS,
    group=ENTRY_POINT_GROUP,
    protocol=StorageProtocol,  # type: ignore[type-abstract]  # it is only asked for with isinstance
    url_error=StorageUrlError,
    provider_error=StorageProviderError,
    hint=_folder_hint,
)


def is_built_in(url: str) -> bool:
    """True if the URL's store is part of this distribution: opening it imports nobody else's code."""
    return _TABLE.is_built_in(url)


def open_storage(url: str, *, directory: Path | None = None, seams: Seams | None = None) -> StorageProtocol:
    """Return the object store that a URL names, such as `memory://` or `file://./objects`. Nothing is opened yet.

    Args:
        url: The URL; its scheme selects the provider, which reads the rest.
        directory: Folder that relative paths start from; the working directory by default.
        seams: Time, randomness and threads for a store of this distribution; the machine's own by default.

    Raises:
        StorageUrlError: No provider has this scheme, or the provider cannot read the URL.
        StorageProviderError: The provider cannot be used, for example because a dependency is not installed.

    Example:
        storage = open_storage("memory://")
        await storage.write("reports/2026.txt", b"all is well", content_type="text/plain")
        content, metadata = await storage.read("reports/2026.txt")
        await storage.close()
    """
    return _TABLE.open(url, directory=directory, seams=seams)
