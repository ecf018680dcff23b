"""Discovery of adapters that other packages offer; a broken one does not hide the rest.

Kept separate from the registry because discovery runs foreign code: every failure is caught here, named, and reported.
"""

import hashlib
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from factflow_engine.adapters.registry import ValidatingAdapterRegistry
from factflow_engine.errors import AdapterRegistrationError
from factflow_protocols import PipelineAdapter

ENTRY_POINT_GROUP: Final = "factflow.adapters"
MARKER: Final = "adapter_type"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryProblem:
    """A plug-in that could not be used.

    Attributes:
        source: Origin: an entry point with its distribution, a module, or a class in it.
        error: Class and text of the exception.
    """

    source: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryReport:
    """Result of a search for adapters.

    Attributes:
        registered: Names of the types that were added, sorted.
        problems: The plug-ins that could not be used, in the order of discovery.
    """

    registered: tuple[str, ...] = ()
    problems: tuple[DiscoveryProblem, ...] = ()

    def __add__(self, other: "DiscoveryReport") -> "DiscoveryReport":
        return DiscoveryReport(
            registered=tuple(sorted({*self.registered, *other.registered})),
            problems=self.problems + other.problems,
        )


class AdapterDiscovery:
    """Finder of adapters in installed distributions, packages and files; it registers what it finds.

    A plug-in that fails to import or to register becomes a `DiscoveryProblem`; the others are registered. A class that
    the registry already has under the same name is skipped, so that a second search does no harm. Importing runs the
    plug-in's code: search only what you would import.

    A module's classes are found by a marker, `adapter_type: ClassVar[str]`, set on the class itself: the marker is not
    inherited, and a class without it is ignored. A class counts where it is defined, not where it is imported.
    """

    def __init__(self, registry: ValidatingAdapterRegistry, *, group: str = ENTRY_POINT_GROUP) -> None:
        self._registry = registry
        self._group = group

    def from_entry_points(self) -> DiscoveryReport:
        """Register the adapters that installed distributions declare in the entry-point group.

        An entry point names an adapter class, whose type is the entry point's name, or a function that takes the
        registry and registers adapters.
        """
        found = sorted(entry_points(group=self._group), key=lambda point: (point.name, point.value))
        return self._collect((_entry_point_source(point), self._entry_point(point)) for point in found)

    def scan(self, package: str | ModuleType) -> DiscoveryReport:
        """Register every marked class in a module, and in all modules below it if it is a package.

        Modules named `__main__` are not imported: importing them runs a program.

        Args:
            package: The module, or its dotted name.
        """
        name = package if isinstance(package, str) else package.__name__
        try:
            root = importlib.import_module(package) if isinstance(package, str) else package
        except (Exception, SystemExit) as error:  # noqa: BLE001 - reported; a plug-in may fail in any way
            return DiscoveryReport(problems=(_problem(f"module {name}", error),))
        report = self._module(root)
        for child in _module_names_below(root):
            report += self._import_and_scan(child)
        return report

    def from_file(self, path: Path) -> DiscoveryReport:
        """Register every marked class of one Python file, which need not be importable by name.

        The file's folder is not put on the import path.
        """
        resolved = path.resolve()
        digest = hashlib.blake2b(str(resolved).encode(), digest_size=6).hexdigest()
        name = f"factflow_adapters_{digest}_{resolved.stem}"
        try:
            module = sys.modules.get(name) or _load_file(name, resolved)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - reported; a plug-in may fail in any way
            return DiscoveryReport(problems=(_problem(f"file {path}", error),))
        return self._module(module)

    def _import_and_scan(self, name: str) -> DiscoveryReport:
        try:
            module = importlib.import_module(name)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - reported; the other modules are still scanned
            return DiscoveryReport(problems=(_problem(f"module {name}", error),))
        return self._module(module)

    def _module(self, module: ModuleType) -> DiscoveryReport:
        marked = [
            cls
            for cls in vars(module).values()
            if inspect.isclass(cls) and cls.__module__ == module.__name__ and MARKER in vars(cls)
        ]
        return self._collect(
            (f"class {cls.__qualname__} in module {module.__name__}", self._registration(vars(cls)[MARKER], cls))
            for cls in dict.fromkeys(marked)  # a class bound to two names is one class
        )

    def _collect(self, attempts: Iterable[tuple[str, Callable[[], None]]]) -> DiscoveryReport:
        before = set(self._registry.types())
        problems = []
        for source, attempt in attempts:
            try:
                attempt()
            except (Exception, SystemExit) as error:  # noqa: BLE001 - reported; one broken plug-in stops no other
                problems.append(_problem(source, error))
        return DiscoveryReport(registered=tuple(sorted(set(self._registry.types()) - before)), problems=tuple(problems))

    def _registration(self, type_name: Any, cls: type[Any]) -> Callable[[], None]:
        def register() -> None:
            if type_name in self._registry and self._registry.get(type_name).adapter_class is cls:
                return
            self._registry.register(type_name, cls)

        return register

    def _entry_point(self, point: EntryPoint) -> Callable[[], None]:
        def register() -> None:
            loaded = point.load()
            if inspect.isclass(loaded) and issubclass(loaded, PipelineAdapter):
                self._registration(point.name, loaded)()
            elif callable(loaded) and not inspect.isclass(loaded):
                loaded(self._registry)
            else:
                raise AdapterRegistrationError(
                    f"entry point {point.name!r} must name a PipelineAdapter subclass or a function "
                    f"register(registry), {point.value} is {loaded!r}"
                )

        return register


def auto_discover_and_register(
    registry: ValidatingAdapterRegistry, *, packages: Iterable[str | ModuleType] = (), group: str = ENTRY_POINT_GROUP
) -> DiscoveryReport:
    """Register the adapters of every installed distribution, and of the packages named.

    Args:
        registry: The registry to add to.
        packages: Packages to scan for classes marked with `adapter_type`.
        group: The entry-point group.

    Returns:
        The types that were added and the plug-ins that could not be; a broken plug-in raises nothing.
    """
    discovery = AdapterDiscovery(registry, group=group)
    report = discovery.from_entry_points()
    for package in packages:
        report += discovery.scan(package)
    return report


def _module_names_below(package: ModuleType) -> Iterator[str]:
    """Return the names of all modules below a package, sorted; import none, so that a broken one can be reported."""
    for path in getattr(package, "__path__", ()):
        for info in sorted(pkgutil.iter_modules([path]), key=lambda info: info.name):
            if info.name == "__main__":
                continue
            name = f"{package.__name__}.{info.name}"
            yield name
            if info.ispkg and name in sys.modules:  # imported by now, unless it is broken
                yield from _module_names_below(sys.modules[name])


def _load_file(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise AdapterRegistrationError(f"{path} is not a Python file; name one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look up their module while it runs
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _entry_point_source(point: EntryPoint) -> str:
    distribution = f" of {point.dist.name}" if point.dist is not None else ""
    return f"entry point {point.name} = {point.value}{distribution}"


def _problem(source: str, error: BaseException) -> DiscoveryProblem:
    return DiscoveryProblem(source=source, error=f"{type(error).__name__}: {error}")
