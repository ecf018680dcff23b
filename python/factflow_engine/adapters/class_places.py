"""Adapter classes of a module: where they stand, and which of them name no type.

Kept separate from discovery because it reads source files, which only problems need.
"""

import inspect
import re
from dataclasses import replace
from types import FunctionType, ModuleType
from typing import Any

from factflow_engine.adapters.importing import UNUSABLE, ImportProblem, first_column
from factflow_engine.adapters.registry import ValidatingAdapterRegistry
from factflow_protocols import PipelineAdapter


def classes_of(module: ModuleType) -> list[type[Any]]:
    """Return the classes that a module defines, in order; a class bound to two names is one class."""
    found = [cls for cls in vars(module).values() if inspect.isclass(cls) and cls.__module__ == module.__name__]
    return list(dict.fromkeys(found))


def at_class(problem: ImportProblem, cls: type[Any]) -> ImportProblem:
    """Return the problem with the place of the method or class that it is about, unless it has one of its own."""
    if problem.file:
        return problem
    about = problem.error.partition(" ")[0].removeprefix(f"{cls.__qualname__}.")
    method = vars(cls).get("__init__" if "cannot be constructed" in problem.error else about)
    file, line = _place(method if inspect.isfunction(method) else cls)
    return replace(problem, file=file, line=line, column=first_column(file, line) if file else 0)


def unmarked_problem(cls: type[Any], module: ModuleType) -> ImportProblem | None:
    """Return why a class without a marker is not found; None if it is no adapter, or only a base of others."""
    if not issubclass(cls, PipelineAdapter) or inspect.isabstract(cls):
        return None
    type_name = _registered_as(cls, module) or _snake_case(cls.__name__)
    problem = ImportProblem(
        code=UNUSABLE,
        error=f"class {cls.__qualname__} is an adapter, and does not say its type",
        remedy=f'write in its body: adapter_type: ClassVar[str] = "{type_name}"',
    )
    return at_class(problem, cls)


def _registered_as(cls: type[Any], module: ModuleType) -> str | None:
    """Return the type under which a registry of the module's own has the class."""
    registries = [value for value in vars(module).values() if isinstance(value, ValidatingAdapterRegistry)]
    names = [name for registry in registries for name in registry.types_of(cls)]
    return names[0] if names else None


def _place(item: type[Any] | FunctionType) -> tuple[str, int]:
    try:
        return inspect.getsourcefile(item) or "", inspect.getsourcelines(item)[1]
    except (OSError, TypeError):
        return "", 0


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_") or "my_adapter"
