"""Queue providers by the scheme of their URLs: the built-in table, and the entry-point group `factflow.queues`.

Kept separate from the providers because each is imported when a URL first needs it.
"""

import difflib
import importlib
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from factflow_engine.error_texts import describe
from factflow_engine.errors import QueueProviderError
from factflow_protocols import (
    AdministeredQueue,
    FactflowError,
    QueueAdministration,
    QueueProtocol,
    QueueProviderClass,
    QueueUrlError,
)

BUILT_IN_PROVIDERS: Final = {
    "memory": "factflow_engine.queues.memory:MemoryQueue",
    "sqlite": "factflow_engine.queues.sqlite:SqliteQueue",
}
"""Scheme to `module:Class`, followed by `[extra]` if the class needs an extra of this distribution."""

ENTRY_POINT_GROUP: Final = "factflow.queues"
"""Group of other distributions' entry points: the name is the scheme, the value as above. Built-in schemes are
reserved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A provider that is not imported yet.

    Attributes:
        scheme: Scheme of its URLs.
        value: `module:Class`, or `module:Class [extra]`.
        distribution: Name of the distribution that contains it.
    """

    scheme: str
    value: str
    distribution: str

    def load(self) -> QueueProviderClass:
        """Import the provider's class.

        Raises:
            QueueProviderError: It cannot be imported, or has no `from_url`.
        """
        target, _, extra = self.value.replace(" ", "").removesuffix("]").partition("[")
        module, _, name = target.partition(":")
        try:
            loaded: Any = importlib.import_module(module)
            for part in name.split("."):
                loaded = getattr(loaded, part)
        except (Exception, SystemExit) as error:
            remedy = ""
            if extra and isinstance(error, ImportError):
                remedy = f"; install it with what it needs: pip install '{self.distribution}[{extra}]'"
            raise self.error(f"cannot be imported: {describe(error)}{remedy}") from error
        if not callable(getattr(loaded, "from_url", None)):
            raise self.error(f"names {loaded!r}; expected a class with a class method from_url(url, *, directory)")
        return cast("QueueProviderClass", loaded)

    def error(self, problem: str) -> QueueProviderError:
        """Return an error that names the provider's origin."""
        return QueueProviderError(self.scheme, self.distribution, f"{self.value} {problem}")


def is_built_in(url: str) -> bool:
    """True if the URL's provider is part of this distribution: opening it imports nobody else's code."""
    return url.partition(":")[0] in BUILT_IN_PROVIDERS


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
    row = _row_of(url)
    provider = row.load()
    try:
        queue = provider.from_url(url, directory=directory)
    except FactflowError:
        raise
    except Exception as error:
        raise row.error(f"could not read the URL: {describe(error)}") from error
    if not isinstance(queue, QueueProtocol):
        raise row.error(f"made {type(queue).__name__} of the URL, which has not all methods of QueueProtocol")
    return queue


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


def _row_of(url: str) -> _Row:
    scheme, colon, _ = url.partition(":")
    if scheme in BUILT_IN_PROVIDERS and colon:
        return _Row(scheme=scheme, value=BUILT_IN_PROVIDERS[scheme], distribution="factflow-engine")
    installed = list(_installed())
    rows = list(dict.fromkeys(row for row in installed if row.scheme == scheme and colon))
    if not rows:
        raise QueueUrlError(url, _unknown(scheme if colon else "", url, [row.scheme for row in installed]))
    if len(rows) > 1:
        other = f"{rows[1].value} of {rows[1].distribution}"
        raise rows[0].error(f"is not the only one: {other} has the same scheme; uninstall one of them")
    return rows[0]


def _installed() -> Iterable[_Row]:
    # Imported late: reading the installed distributions is slow, and built-in schemes do not need it.
    metadata = importlib.import_module("importlib.metadata")
    for point in metadata.entry_points(group=ENTRY_POINT_GROUP):
        distribution = point.dist.name if point.dist is not None else "an unknown distribution"
        yield _Row(scheme=point.name, value=point.value, distribution=distribution)


def _unknown(scheme: str, url: str, installed: Iterable[str]) -> str:
    known = sorted({*BUILT_IN_PROVIDERS, *installed})
    near = difflib.get_close_matches((scheme or url).lower(), known, 1)
    problem = f"no queue provider has the scheme {scheme!r}" if scheme else "expected SCHEME://..., got no scheme"
    hint = f"did you mean {near[0]}://? " if near else ""
    if not scheme and Path(url).suffix in {".db", ".sqlite", ".sqlite3"}:
        hint = f"write sqlite:///{url} for a file; "
    return f"{problem}; {hint}the schemes are {', '.join(known)}"
