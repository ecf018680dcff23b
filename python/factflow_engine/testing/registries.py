"""Registries for tests: adapter types from classes and functions, in one call.

Kept separate from the fakes because a registry is the engine's own: it checks each class as it does in production.
"""

import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any, cast

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_protocols import AdapterResult, FactflowError, PipelineAdapter, PipelineContext

ProcessFunction = Callable[[PipelineContext], AdapterResult | Awaitable[AdapterResult | None] | None]
"""Function in the place of an adapter's `process`."""

AnyAdapter = type[PipelineAdapter] | ProcessFunction


class FakeUseError(FactflowError, TypeError):
    """A fake that is used wrongly: the text says what was expected, what was given, and what to write instead."""


def adapter_of(function: ProcessFunction, /) -> type[PipelineAdapter]:
    """Return an adapter class whose `process` is a function; async if the function is.

    Raises:
        FakeUseError: It cannot be called.

    Example:
        Shout = adapter_of(lambda context: AdapterResult(message=context.message.upper()))
        assert run_adapter(Shout, "hello").output == "HELLO"
    """
    given: Any = function
    if not callable(given) or inspect.isclass(given):
        raise FakeUseError(f"expected a function of a context, got {_shown(given)}; write def process(context): ...")
    process_of = cast("Callable[[PipelineContext], Any]", given)
    called = getattr(type(given), "__call__", None)  # noqa: B004 - an object with a method

    async def process_async(_: PipelineAdapter, context: PipelineContext) -> AdapterResult | None:
        result: AdapterResult | None = await process_of(context)
        return result

    def process_sync(_: PipelineAdapter, context: PipelineContext) -> AdapterResult | None:
        result: AdapterResult | None = process_of(context)
        return result

    is_async = any(inspect.iscoroutinefunction(each) for each in (given, called))
    process = process_async if is_async else process_sync
    return type(
        "FunctionAdapter",
        (PipelineAdapter,),
        {"process": process, "__doc__": inspect.getdoc(given), "from_function": staticmethod(given)},
    )


def validating_registry(*adapters: AnyAdapter, **named: AnyAdapter) -> ValidatingAdapterRegistry:
    """Return a registry with the built-in adapter types and these.

    Args:
        adapters: Adapter classes, under their `adapter_type`, or else their name in snake case (`CountTokens` as
            `count_tokens`); or functions of a context, under their name.
        named: The same, under the names given here.

    Raises:
        FakeUseError: It is neither a class nor a function, or has no name.
        AdapterRegistrationError: The engine could not use the class, or the name is taken or malformed.

    Example:
        registry = validating_registry(shout=lambda context: AdapterResult(message=context.message.upper()))
        assert "shout" in registry.types()
    """
    registry = ValidatingAdapterRegistry()
    for name, given in [*((_name_of(each), each) for each in adapters), *named.items()]:
        registry.register(name, given if isinstance(given, type) else adapter_of(given))
    return registry


def _name_of(given: AnyAdapter) -> str:
    if isinstance(given, type):
        marked = vars(given).get("adapter_type")
        parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", given.__name__)
        return marked if isinstance(marked, str) else parted.lower()
    name = getattr(given, "__name__", None)
    if not isinstance(name, str) or not name.isidentifier():
        raise FakeUseError(
            f"expected an adapter class, or a function with a name, got {_shown(given)}; "
            "write validating_registry(name=...)"
        )
    return name


def _shown(given: object) -> str:
    if isinstance(given, PipelineAdapter):
        return f"an instance of {type(given).__name__} (the engine makes one for each stage: give the class)"
    if inspect.isclass(given):
        return f"the class {given.__name__}"
    return "a function without a name" if callable(given) else f"a {type(given).__name__}"
