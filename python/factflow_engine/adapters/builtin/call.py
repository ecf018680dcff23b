"""`call` and `call_async`: a Python function as a stage, for steps too small for an adapter.

Two types because the engine decides by the class where `process` runs: a plain function must not block the event loop.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from copy import deepcopy
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, JsonValue, ValidationInfo, field_validator, model_validator

from factflow_engine.adapters.builtin._config import BuiltinConfig, explained, is_import_allowed
from factflow_engine.adapters.builtin._dotted import check_call, check_name, is_async, resolve_function
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext


class CallConfig(BuiltinConfig):
    """The function to call, and its arguments."""

    function: str = Field(min_length=3, max_length=1000)
    """Dotted name: `package.module:function` or `package.module.function`. It is imported when the configuration is
    loaded, and runs with the rights of the process."""
    argument: Literal["message", "context"] = "message"
    """The function's one positional argument: the decoded message, which it may change, or the whole
    `PipelineContext`."""
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    """Named arguments, the same for every call."""

    @field_validator("function")
    @classmethod
    def _is_there(cls, name: str, info: ValidationInfo) -> str:
        if is_import_allowed(info):
            resolve_function(name)
        else:
            check_name(name)
        return name

    @model_validator(mode="after")
    def _can_be_called(self, info: ValidationInfo) -> Self:
        if not is_import_allowed(info, self.function):
            return self
        function = resolve_function(self.function)
        self._check_kind(function)
        check_call(self.function, function, self.arguments)
        return self

    def _check_kind(self, function: Callable[..., Any]) -> None:
        if is_async(function):
            raise explained(f"{self.function} is asynchronous", "write type: call_async")


class CallAsyncConfig(CallConfig):
    """The coroutine function to call, and its arguments."""

    def _check_kind(self, function: Callable[..., Any]) -> None:
        if not is_async(function):
            raise explained(f"{self.function} is not `async def`", "write type: call, which calls it in a thread")


class Call(PipelineAdapter):
    """Adapter that calls a Python function with each message, in a worker thread.

    The return value decides: a value is the new message, None ends the message (`filtered`), an iterator (such as a
    generator) emits its elements lazily, an `AdapterResult` is used as it is. A list is a message; write `iter(...)` to
    emit its elements. An exception fails the message, as in an adapter.
    """

    config_model: ClassVar[type[Any] | None] = CallConfig
    summary: ClassVar[str] = "Call a Python function with each message, in a thread."

    def __init__(self, config: CallConfig) -> None:
        self._call = _Bound(config)

    def process(self, context: PipelineContext) -> AdapterResult | None:
        """Call the function."""
        value = self._call(context)
        if inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()
            raise TypeError(f"{self._call.name} returned an awaitable; make it `async def` and write type: call_async")
        return _result(value)


class CallAsync(PipelineAdapter):
    """Adapter that calls an `async def` function with each message, on trio; results are those of `call`."""

    config_model: ClassVar[type[Any] | None] = CallAsyncConfig
    summary: ClassVar[str] = "Call an async Python function with each message, on trio."

    def __init__(self, config: CallAsyncConfig) -> None:
        self._call = _Bound(config)

    async def process(self, context: PipelineContext) -> AdapterResult | None:
        """Call the function. Cancellation is raised in it."""
        value = self._call(context)
        return _result(await value if inspect.isawaitable(value) else value)


class _Bound:
    """A function with its fixed arguments."""

    __slots__ = ("_arguments", "_function", "_pass_context", "name")

    def __init__(self, config: CallConfig) -> None:
        self.name = config.function
        self._function = resolve_function(config.function)
        self._arguments = config.arguments
        self._pass_context = config.argument == "context"

    def __call__(self, context: PipelineContext) -> Any:
        given = context if self._pass_context else context.message
        if not self._arguments:
            return self._function(given)
        return self._function(given, **deepcopy(self._arguments))  # which the function may change


def _result(value: Any) -> AdapterResult | None:
    if value is None or isinstance(value, AdapterResult):
        return value
    if isinstance(value, (Iterator, AsyncIterator)):
        return AdapterResult(emitted=value)
    return AdapterResult(message=value)
