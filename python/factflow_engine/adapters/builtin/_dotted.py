"""Python functions by dotted name, imported when a configuration is validated so that mistakes are found then.

A name in a configuration runs code from the import path, with the rights of the process: the author of a pipeline may
call any public function. Nothing is evaluated; private names are refused because their authors do not support them.
"""

import importlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any


def resolve_function(name: str) -> Callable[..., Any]:
    """Return the callable that `package.module:function` or `package.module.function` names.

    Importing runs the module.

    Raises:
        ValueError: The name is malformed or private, does not exist, or its module failed to import.
    """
    module_name, colon, attributes = name.partition(":")
    parts = [*module_name.split("."), *(attributes.split(".") if colon else ())]
    if not all(part.isidentifier() for part in parts) or len(parts) < 2:
        raise ValueError(f"{name!r} does not name a function; write package.module:function")
    private = [part for part in parts if part.startswith("_")]
    if private:
        raise ValueError(f"{name!r} leads through the private name {private[0]!r}; name a public function")
    if colon:
        module = _import(module_name)
        if module is None:
            raise ValueError(f"there is no module {module_name!r}; {_where_to_look()}")
        return _callable(name, module, attributes.split("."))
    # From the left, so that each package of a long name is imported once; the longest importable module holds the
    # function.
    module = _import(parts[0])
    if module is None:
        raise ValueError(f"there is no module {parts[0]!r}; {_where_to_look()}")
    length = 1
    while length < len(parts) - 1 and (inner := _import(".".join(parts[: length + 1]))) is not None:
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
        raise ValueError(f"{name}{signature} cannot be called as f(message{given}): {error}") from error


def _import(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            return None
        raise ValueError(f"importing {name!r} failed: {error}") from error
    except (Exception, SystemExit) as error:
        raise ValueError(f"importing {name!r} failed: {type(error).__name__}: {error}") from error


def _callable(name: str, module: ModuleType, attributes: list[str]) -> Callable[..., Any]:
    value: Any = module
    for attribute in attributes:
        try:
            value = getattr(value, attribute)
        except AttributeError:
            raise ValueError(f"{name!r}: {module.__name__!r} has no {'.'.join(attributes)!r}") from None
    if callable(value):
        function: Callable[..., Any] = value
        return function
    raise ValueError(f"{name!r} is a {type(value).__name__} and cannot be called; name a function")


def _where_to_look() -> str:
    return "install its package, or put its folder on PYTHONPATH"
