"""Search of a module, or a Python file, that was named for its adapters.

Kept separate from discovery because here whoever named the module is told everything that is wrong with it, while a
search for plug-ins passes over what is no adapter.
"""

import difflib
from dataclasses import replace
from pathlib import Path
from typing import Final

from factflow_engine.adapters.discovery import AdapterDiscovery, DiscoveryProblem, DiscoveryReport
from factflow_engine.adapters.importing import MISSING, UNUSABLE
from factflow_engine.adapters.registry import ValidatingAdapterRegistry

_MARK: Final = 'mark each adapter class of the module with `adapter_type: ClassVar[str] = "its_name"` in the class body'


def search_named(registry: ValidatingAdapterRegistry, module: str) -> DiscoveryReport:
    """Register the adapters of a module; if it has none that can be used, the report has at least one problem.

    Args:
        registry: The registry to add to.
        module: Path of a Python file, or a dotted name.
    """
    report = _search(AdapterDiscovery(registry), module)
    if report.problems or report.registered or report.known:
        return report
    return replace(report, problems=report.unmarked or (_problem(module, UNUSABLE, "no adapter found", _MARK),))


def _search(discovery: AdapterDiscovery, module: str) -> DiscoveryReport:
    path = Path(module)
    if path.is_file():
        return discovery.from_file(path)
    if _is_module_name(module):
        return _scanned(discovery, module)
    if path.is_dir():
        return DiscoveryReport(problems=(_problem(module, UNUSABLE, "this is a folder", _inside(path)),))
    near = difflib.get_close_matches(path.name, _python_files(path.parent), 1)
    guess = f"did you mean {path.parent / near[0]}? " if near else ""
    remedy = f"{guess}relative paths start from {Path.cwd()}; give the path of a Python file, or a module's name"
    return DiscoveryReport(problems=(_problem(module, MISSING, "there is no such file", remedy),))


def _scanned(discovery: AdapterDiscovery, module: str) -> DiscoveryReport:
    report = discovery.scan(module)
    file = Path(f"{module}.py")
    if not report.problems or report.problems[0].code != MISSING or report.problems[0].file or not file.is_file():
        return report
    remedy = f"write {file}, or put its folder on PYTHONPATH"
    return DiscoveryReport(problems=(replace(report.problems[0], remedy=remedy),))


def _is_module_name(module: str) -> bool:
    return not module.endswith(".py") and all(part.replace("-", "_").isidentifier() for part in module.split("."))


def _inside(folder: Path) -> str:
    files = _python_files(folder)
    named = f", such as {folder / files[0]}" if files else ""
    package = f", or write the package's dotted name, {folder.name}" if "__init__.py" in files else ""
    return f"name a Python file in it{named}{package}"


def _python_files(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.suffix == ".py")
    except OSError:
        return []


def _problem(module: str, code: str, error: str, remedy: str) -> DiscoveryProblem:
    return DiscoveryProblem(source=f"module {module}", code=code, error=error, remedy=remedy)
