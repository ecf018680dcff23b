"""Providers by the scheme of their URLs: a built-in table, and an entry-point group for other distributions.

Kept separate from queues, storages and lineage because all three choose their providers in this way.
"""

import difflib
import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, cast, runtime_checkable

from factflow_engine.error_texts import describe
from factflow_engine.seams import Seams
from factflow_protocols import FactflowError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

ProviderErrorOf = Callable[[str, str, str], FactflowError]
"""Makes the error of a provider, from its scheme, the name of its distribution and the problem."""


@runtime_checkable
class InFolder(Protocol):
    """Store that lies in a folder of this machine, which it makes with the first write."""

    @property
    def folder(self) -> Path:
        """The folder."""
        ...


class _ProviderClass(Protocol[T_co]):
    def from_url(self, url: str, *, directory: Path | None = None, **built_in: Seams) -> T_co: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemeTable(Generic[T]):
    """The providers of one protocol.

    Attributes:
        noun: The kind of provider, as texts name it: `queue`.
        built_in: Scheme to `module:Class`, followed by `[extra]` if the class needs an extra of this distribution.
        Built-in schemes are reserved.
        group: Group of other distributions' entry points: the name is the scheme, the value as above. None if they may
        have none.
        protocol: Runtime-checkable protocol that a provider implements.
        url_error: Makes the error of a URL that its author must change, from the URL and the problem.
        provider_error: Makes the error of a provider that cannot be used, from its scheme, the name of its distribution
        and the problem.
        hint: Returns a hint for a URL without a scheme, such as a path; empty if it has none.
    """

    noun: str
    built_in: Mapping[str, str]
    group: str | None
    protocol: type[T]
    url_error: Callable[[str, str], Exception]
    provider_error: ProviderErrorOf
    hint: Callable[[str], str]

    def is_built_in(self, url: str) -> bool:
        """True if the URL's provider is part of this distribution: opening it imports nobody else's code."""
        return url.partition(":")[0] in self.built_in

    def open(self, url: str, *, directory: Path | None = None, seams: Seams | None = None) -> T:
        """Return the provider that a URL names. Its class is imported; nothing is opened yet.

        Args:
            url: The URL; its scheme selects the provider, which reads the rest.
            directory: Folder that relative paths start from; the working directory by default.
            seams: Time, randomness and threads for a provider of this distribution; the machine's own by default.

        Raises:
            FactflowError: No provider has this scheme (`url_error`), the provider cannot read the URL, or cannot be used
            (`provider_error`).
        """
        row = self._row_of(url)
        provider: _ProviderClass[object] = row.load()
        built_in = {"seams": seams} if seams is not None and self.is_built_in(url) else {}
        try:
            opened = provider.from_url(url, directory=directory, **built_in)
        except FactflowError:
            raise
        except Exception as error:
            raise row.error(f"could not read the URL: {describe(error)}") from error
        if not isinstance(opened, self.protocol):
            raise row.error(
                f"made {type(opened).__name__} of the URL, which has not all methods of {self.protocol.__name__}"
            )
        return opened

    def _row_of(self, url: str) -> "_Row":
        scheme, colon, _ = url.partition(":")
        if scheme in self.built_in and colon:
            return self._row(scheme, self.built_in[scheme], "factflow-engine")
        installed = list(self._installed())
        rows = list(dict.fromkeys(row for row in installed if row.scheme == scheme and colon))
        if not rows:
            raise self.url_error(url, self._unknown(scheme if colon else "", url, [row.scheme for row in installed]))
        if len(rows) > 1:
            other = f"{rows[1].value} of {rows[1].distribution}"
            raise rows[0].error(f"is not the only one: {other} has the same scheme; uninstall one of them")
        return rows[0]

    def _row(self, scheme: str, value: str, distribution: str) -> "_Row":
        return _Row(scheme=scheme, value=value, distribution=distribution, error_of=self.provider_error)

    def _installed(self) -> Iterable["_Row"]:
        if self.group is None:
            return
        # Imported late: reading the installed distributions is slow, and built-in schemes do not need it.
        metadata = importlib.import_module("importlib.metadata")
        for point in metadata.entry_points(group=self.group):
            distribution = point.dist.name if point.dist is not None else "an unknown distribution"
            yield self._row(point.name, point.value, distribution)

    def _unknown(self, scheme: str, url: str, installed: Iterable[str]) -> str:
        known = sorted({*self.built_in, *installed})
        near = difflib.get_close_matches((scheme or url).lower(), known, 1)
        problem = (
            f"no {self.noun} provider has the scheme {scheme!r}" if scheme else "expected SCHEME://..., got no scheme"
        )
        hint = f"did you mean {near[0]}://? " if near else ""
        if not scheme:
            hint = self.hint(url) or hint
        return f"{problem}; {hint}the schemes are {', '.join(known)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A provider that is not imported yet.

    Attributes:
        scheme: Scheme of its URLs.
        value: `module:Class`, or `module:Class [extra]`.
        distribution: Name of the distribution that contains it.
        error_of: Makes its errors.
    """

    scheme: str
    value: str
    distribution: str
    error_of: ProviderErrorOf

    def load(self) -> _ProviderClass[object]:
        """Import the provider's class.

        Raises:
            FactflowError: It cannot be imported, or has no `from_url`.
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
        return cast("_ProviderClass[object]", loaded)

    def error(self, problem: str) -> FactflowError:
        """Return an error that names the provider's origin."""
        return self.error_of(self.scheme, self.distribution, f"{self.value} {problem}")
