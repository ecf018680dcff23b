"""Lineage stores by the scheme of their URLs: the built-in table, and the entry-point group `factflow.lineage`.

Kept separate from the stores because each is imported when a URL first needs it.
"""

from pathlib import Path
from typing import Final

from factflow_engine.errors import LineageProviderError
from factflow_engine.schemes import SchemeTable
from factflow_engine.seams import Seams
from factflow_protocols import LineageReader, LineageSink, LineageUrlError, ReadableLineage

BUILT_IN_PROVIDERS: Final = {
    "postgres": "factflow_engine.lineage.postgres:PostgresLineage[postgres]",
    "postgresql": "factflow_engine.lineage.postgres:PostgresLineage[postgres]",
    "sqlite": "factflow_engine.lineage.sqlite:SqliteLineage",
}
"""Scheme to `module:Class`, followed by `[extra]` if the class needs an extra of this distribution."""

ENTRY_POINT_GROUP: Final = "factflow.lineage"
"""Group of other distributions' entry points: the name is the scheme, the value as above. Built-in schemes are
reserved."""


def _folder_hint(url: str) -> str:
    return f"write sqlite:///{url} for a folder; " if url else ""


_TABLE: Final[SchemeTable[LineageSink]] = SchemeTable(
    noun="lineage",
    built_in=BUILT_IN_PROVIDERS,
    group=ENTRY_POINT_GROUP,
    protocol=LineageSink,  # type: ignore[type-abstract]  # it is only asked for with isinstance
    url_error=LineageUrlError,
    provider_error=LineageProviderError,
    hint=_folder_hint,
)


def is_built_in(url: str) -> bool:
    """True if the URL's store is part of this distribution: opening it imports nobody else's code."""
    return _TABLE.is_built_in(url)


def open_lineage(url: str, *, directory: Path | None = None, seams: Seams | None = None) -> LineageSink:
    """Return the lineage store that a URL names, such as `sqlite:///lineage`. Nothing is opened yet.

    Args:
        url: The URL; its scheme selects the provider, which reads the rest.
        directory: Folder that relative paths start from; the working directory by default.
        seams: Time, randomness and threads for a store of this distribution; the machine's own by default.

    Raises:
        LineageUrlError: No provider has this scheme, or the provider cannot read the URL.
        LineageProviderError: The provider cannot be used, for example because a dependency is not installed.

    Example:
        sink = open_lineage("sqlite:///lineage?retention_days=30")
        await sink.write([], [])  # OrchestratorManager(lineage=sink) does this
        await sink.close()
    """
    return _TABLE.open(url, directory=directory, seams=seams)


def open_lineage_reader(url: str, *, directory: Path | None = None) -> LineageReader:
    """Return a reader of the lineage store that a URL names. Nothing is opened yet, and nothing is created.

    Raises:
        LineageUrlError: See `open_lineage`; or the provider only writes.
        LineageProviderError: See `open_lineage`.

    Example:
        reader = open_lineage_reader("sqlite:///lineage")
        message_ids = await reader.find("018f3c2a", limit=1)
        history = await reader.messages(message_ids)
        await reader.close()
    """
    sink = open_lineage(url, directory=directory)
    if not isinstance(sink, ReadableLineage):
        raise LineageUrlError(url, f"its provider {type(sink).__name__} only writes, so nothing can be read here")
    return sink.reader()
