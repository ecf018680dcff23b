"""Discovery of adapters that other packages offer; a broken one does not hide the rest.

Kept separate from the registry because discovery runs foreign code: every failure is caught here, named, and reported.
"""

import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from factflow_engine.adapters.absence import ENTRY_POINT_GROUP
from factflow_engine.adapters.class_places import at_class, classes_of, unmarked_problem
from factflow_engine.adapters.importing import (
    MISSING,
    ImportProblem,
    ModuleImportError,
    guarded,
    import_file,
    import_named,
)
from factflow_engine.adapters.registry import ValidatingAdapterRegistry
from factflow_engine.errors import AdapterRegistrationError
from factflow_protocols import PipelineAdapter

MARKER: Final = "adapter_type"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryProblem(ImportProblem):
    """A plug-in that could not be used.

    Attributes:
        source: Origin: an entry point with its distribution, a module, or a class in it.
    """

    source: str

    def __str__(self) -> str:
        return f"{self.source}: {ImportProblem.__str__(self)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryReport:
    """Result of a search for adapters.

    Attributes:
        registered: Names of the types that were added, sorted.
        problems: The plug-ins that could not be used, in the order of discovery.
        unmarked: Adapter classes of modules that name no type, and so were left out.
        known: Names of the types that were found, and that the registry had already.
    """

    registered: tuple[str, ...] = ()
    problems: tuple[DiscoveryProblem, ...] = ()
    unmarked: tuple[DiscoveryProblem, ...] = ()
    known: tuple[str, ...] = ()

    def __add__(self, other: "DiscoveryReport") -> "DiscoveryReport":
        return DiscoveryReport(
            registered=tuple(sorted({*self.registered, *other.registered})),
            problems=self.problems + other.problems,
            unmarked=self.unmarked + other.unmarked,
            known=self.known + other.known,
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
        report = DiscoveryReport()
        for point in sorted(entry_points(group=self._group), key=lambda point: (point.name, point.value)):
            found = self._collect(_entry_point_source(point), partial(self._entry_point, point))
            for problem in found.problems:
                self._registry.note_unusable(point.name, _without_remedy(problem), problem.remedy)
            report += found
        return report

    def scan(self, package: str | ModuleType) -> DiscoveryReport:
        """Register every marked class in a module, and in all modules below it if it is a package.

        Modules named `__main__` are not imported, nor is one that would run a program: see `DiscoveryProblem`.

        Args:
            package: The module, or its dotted name.
        """
        name = package if isinstance(package, str) else package.__name__
        try:
            root = import_named(package) if isinstance(package, str) else package
        except ModuleImportError as error:
            return DiscoveryReport(problems=(_problem(f"module {name}", error.problem),))
        report = self._module(root)
        for child in _module_names_below(root):
            report += self._import_and_scan(child)
        return report

    def from_file(self, path: Path) -> DiscoveryReport:
        """Register every marked class of one Python file, which need not be importable by name.

        The file's folder is not put on the import path.
        """
        try:
            module = import_file(path)
        except ModuleImportError as error:
            return DiscoveryReport(problems=(_problem(f"file {path}", error.problem),))
        return self._module(module)

    def _import_and_scan(self, name: str) -> DiscoveryReport:
        try:
            module = import_named(name)
        except ModuleImportError as error:
            return DiscoveryReport(problems=(_problem(f"module {name}", error.problem),))
        return self._module(module)

    def _module(self, module: ModuleType) -> DiscoveryReport:
        report = DiscoveryReport()
        for cls in classes_of(module):
            source = f"class {cls.__qualname__} in module {module.__name__}"
            if MARKER in vars(cls):
                report += self._marked(cls, source)
            elif (problem := unmarked_problem(cls, module)) is not None:
                report += DiscoveryReport(unmarked=(_problem(source, problem),))
        return report

    def _marked(self, cls: type[Any], source: str) -> DiscoveryReport:
        type_name = vars(cls)[MARKER]
        if self._has(type_name, cls):
            return DiscoveryReport(known=(type_name,))
        return self._collect(source, partial(self._register, type_name, cls), cls)

    def _collect(self, source: str, register: Callable[[], None], cls: type[Any] | None = None) -> DiscoveryReport:
        before = set(self._registry.types())
        problems: tuple[DiscoveryProblem, ...] = ()
        try:
            guarded(register)
        except ModuleImportError as error:
            problems = (_problem(source, error.problem if cls is None else at_class(error.problem, cls)),)
        return DiscoveryReport(registered=tuple(sorted(set(self._registry.types()) - before)), problems=problems)

    def _register(self, type_name: Any, cls: type[Any]) -> None:
        if not self._has(type_name, cls):
            self._registry.register(type_name, cls)

    def _has(self, type_name: Any, cls: type[Any]) -> bool:
        return (
            isinstance(type_name, str)
            and type_name in self._registry
            and self._registry.get(type_name).adapter_class is cls
        )

    def _entry_point(self, point: EntryPoint) -> None:
        try:
            loaded: Any = import_named(point.module)
        except ModuleImportError as error:
            raise _with_extras(error, point) from error
        for part in filter(None, point.attr.split(".")):
            loaded = getattr(loaded, part)
        if inspect.isclass(loaded) and issubclass(loaded, PipelineAdapter):
            self._register(point.name, loaded)
        elif callable(loaded) and not inspect.isclass(loaded):
            loaded(self._registry)
        else:
            raise AdapterRegistrationError(
                f"entry point {point.name!r} must name a PipelineAdapter subclass or a function register(registry), "
                f"{point.value} is {loaded!r}",
                f"correct the entry point in the package's metadata, group {self._group!r}",
            )


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


def _entry_point_source(point: EntryPoint) -> str:
    distribution = f" of {point.dist.name}" if point.dist is not None else ""
    return f"entry point {point.name} = {point.value}{distribution}"


def _with_extras(error: ModuleImportError, point: EntryPoint) -> ModuleImportError:
    """Return the error with the plug-in's extras as its remedy, if the plug-in names any and a module is missing."""
    if not point.extras or point.dist is None or error.problem.code != MISSING:
        return error
    wanted = f"{point.dist.name}[{','.join(point.extras)}]"
    return ModuleImportError(replace(error.problem, remedy=f"install it with what it needs: pip install '{wanted}'"))


def _without_remedy(problem: DiscoveryProblem) -> str:
    return f"{problem.source}: {problem.error}" + (f" ({problem.place})" if problem.file else "")


def _problem(source: str, problem: ImportProblem) -> DiscoveryProblem:
    return DiscoveryProblem(
        source=source,
        code=problem.code,
        error=problem.error,
        file=problem.file,
        line=problem.line,
        column=problem.column,
        remedy=problem.remedy,
    )
