"""Python functions by dotted name, imported when a configuration is validated so that mistakes are found then.

A name in a configuration runs code from the import path, with the rights of the process: the author of a pipeline may
call any public function. Nothing is evaluated; private names are refused because their authors do not support them.
"""

import difflib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from pydantic_core import PydanticCustomError

from factflow_engine.adapters.builtin._config import explained
from factflow_engine.adapters.importing import MISSING, ModuleImportError, import_named
from factflow_engine.field_paths import kind_of


def check_name(name: str) -> list[str]:
    """Return the parts of a function's name; nothing is imported.

    Raises:
        ValueError: The name is malformed or private.
    """
    module_name, colon, attributes = name.partition(":")
    parts = [*module_name.split("."), *(attributes.split(".") if colon else ())]
    if not all(part.isidentifier() for part in parts) or len(parts) < 2:
        raise explained(f"{name!r} does not name a function", "write package.module:function")
    private = [part for part in parts if part.startswith("_")]
    if private:
        raise explained(f"{name!r} leads through the private name {private[0]!r}", "name a public function")
    return parts


def resolve_function(name: str) -> Callable[..., Any]:
    """Return the callable that `package.module:function` or `package.module.function` names.

    Importing runs the module.

    Raises:
        ValueError: The name is malformed or private, does not exist, or its module failed to import.
    """
    parts = check_name(name)
    module_name, colon, attributes = name.partition(":")
    if colon:
        return _callable(name, _import(module_name), attributes.split("."))
    # From the left, so that each package of a long name is imported once; the longest importable module holds the
    # function.
    module = _import(parts[0])
    length = 1
    while length < len(parts) - 1 and (inner := _import_if_there(".".join(parts[: length + 1]))) is not None:
        module = inner
        length += 1
    return _callable(name, module, parts[length:])


def is_async(function: Callable[..., Any]) -> bool:
    """True if calling the function needs the event loop: a coroutine function or an async generator function."""
    called = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004 - the method itself is looked into
    return any(
        check(candidate)
        for candidate in (function, called)
        for check in (inspect.iscoroutinefunction, inspect.isasyncgenfunction)
    )


def check_call(name: str, function: Callable[..., Any], arguments: dict[str, Any]) -> None:
    """Check that the function can be called with one positional argument and these named ones.

    Raises:
        ValueError: The function cannot be called so.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # written in C, without a signature; the first message will show
    try:
        signature.bind(object(), **arguments)
    except TypeError as error:
        given = "".join(f", {key}=..." for key in arguments)
        raise explained(
            f"{name}{signature} cannot be called as f(message{given}): {error}",
            "write a function of one message, and its other parameters under arguments:",
        ) from error


def _import_if_there(name: str) -> ModuleType | None:
    try:
        return import_named(name)
    except ModuleImportError as error:
        if error.problem.code == MISSING and not error.problem.file:
            return None
        raise _failed(name, error) from error


def _import(name: str) -> ModuleType:
    try:
        return import_named(name)
    except ModuleImportError as error:
        raise _failed(name, error) from error


def _failed(name: str, error: ModuleImportError) -> PydanticCustomError:
    problem = error.problem
    text = f"importing {name!r} failed: {problem.error} ({problem.place})" if problem.file else problem.error
    return explained(text, problem.remedy, problem.code)


def _callable(name: str, module: ModuleType, attributes: list[str]) -> Callable[..., Any]:
    value: Any = module
    for attribute in attributes:
        try:
            value = getattr(value, attribute)
        except AttributeError:
            public = [each for each in dir(value) if not each.startswith("_")]
            near = difflib.get_close_matches(attribute, public, 2, cutoff=0.7)
            remedy = f"did you mean {' or '.join(map(repr, near))}?" if near else "name one of its functions"
            raise explained(f"{name!r}: {module.__name__!r} has no {'.'.join(attributes)!r}", remedy) from None
    if callable(value):
        function: Callable[..., Any] = value
        return function
    raise explained(f"{name!r} is {kind_of(value)} and cannot be called", "name a function")
