"""Checks that a class can be used the way the engine will use it, made when it is registered.

Kept separate from the registry because each rule here is one mistake that authors make, with the remedy for it. Every
function raises an `AdapterRegistrationError` that names the expected value, the value found, and the line to write
instead.
"""

import difflib
import inspect
import re
from collections.abc import Callable
from typing import Any, Final

from factflow_engine.adapters.keeping import overrides
from factflow_engine.errors import AdapterRegistrationError
from factflow_protocols import PipelineAdapter, StatefulAdapter

MAX_TYPE_NAME_LENGTH: Final = 64
PROCESS_LINE: Final = "async def process(self, context: PipelineContext) -> AdapterResult | None:"

_IN_CONTEXT: Final = "the message is context.message, its headers are context.headers"
_TYPE_NAME: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_LIFECYCLE: Final = {
    "open": ("self, stage", "async def open(self, stage: StageInfo) -> None:"),
    "finish": ("self", "async def finish(self) -> AdapterResult | None:"),
    "close": ("self", "async def close(self) -> None:"),
    "flush": ("self", "async def flush(self) -> None:"),
}
_STATE: Final = {
    "snapshot": ("self", "def snapshot(self) -> Any:"),
    "restore": ("self, state", "def restore(self, state: Any) -> None:"),
}


def check_type_name(type_name: object) -> str:
    """Return the name if it is lower snake case, dotted for namespaces, of at most 64 characters."""
    if not isinstance(type_name, str):
        raise AdapterRegistrationError(
            f"an adapter type is a string, got {type_name!r}", 'write @registry.register("my_adapter")'
        )
    if len(type_name) <= MAX_TYPE_NAME_LENGTH and _TYPE_NAME.fullmatch(type_name):
        return type_name
    if len(type_name) > MAX_TYPE_NAME_LENGTH:
        raise AdapterRegistrationError(
            f"adapter type {type_name[:MAX_TYPE_NAME_LENGTH]!r}... has {len(type_name)} characters",
            f"write at most {MAX_TYPE_NAME_LENGTH}",
        )
    raise AdapterRegistrationError(
        f"adapter type {type_name!r} is not lower snake case (letters, digits, underscores; dots between namespaces)",
        f"write {_suggested_name(type_name)!r}",
    )


def check_class(type_name: str, cls: object) -> type[PipelineAdapter]:
    """Return the class if it is a concrete adapter whose methods have the engine's signatures."""
    if not inspect.isclass(cls):
        name = type(cls).__name__ if isinstance(cls, PipelineAdapter) else "class MyAdapter(PipelineAdapter)"
        raise AdapterRegistrationError(
            f"adapter type {type_name!r} needs a class that subclasses PipelineAdapter, got {cls!r}",
            f"pass the class itself: {name}",
        )
    if not issubclass(cls, PipelineAdapter):
        raise AdapterRegistrationError(
            f"{cls.__qualname__} cannot be adapter type {type_name!r}: it is not a PipelineAdapter",
            f"write class {cls.__name__}(PipelineAdapter):",
        )
    abstract = sorted(getattr(cls, "__abstractmethods__", ()))
    if abstract:
        fix = PROCESS_LINE if abstract == ["process"] else f"define {', '.join(abstract)}"
        near = difflib.get_close_matches("process", vars(cls), 1) if abstract == ["process"] else []
        renamed = f"rename {near[0]}() to process(): " if near else ""
        raise AdapterRegistrationError(
            f"{cls.__qualname__} cannot be adapter type {type_name!r}: {', '.join(abstract)} is still abstract",
            f"{renamed}write in it: {fix}",
        )
    _check_process(cls)
    _check_place(cls)
    _check_lifecycle(cls)
    _check_state(cls)
    return cls


def check_constructor(cls: type[PipelineAdapter], *, takes_config: bool) -> None:
    """Check that `cls(config)`, or `cls()` for an adapter without a config model, can be called."""
    if not takes_config and _is_constructed_as_object(cls):
        return
    arguments = (object(),) if takes_config else ()
    call = "cls(config)" if takes_config else "cls()"
    try:
        signature = inspect.signature(cls)
    except (TypeError, ValueError):
        return  # a constructor written in C has no signature to check; creating the adapter will show
    try:
        signature.bind(*arguments)
    except TypeError as error:
        line = "def __init__(self, config: MyConfig) -> None:" if takes_config else "def __init__(self) -> None:"
        remedy = f"write {line}"
        if not takes_config and signature.parameters:
            remedy += ", or give the class a config_model and take its instance as the one argument"
        raise AdapterRegistrationError(
            f"{cls.__qualname__} cannot be constructed as {call}: {error}; its signature is "
            f"__init__{_with_self(signature)}",
            remedy,
        ) from error


def _is_constructed_as_object(cls: type[PipelineAdapter]) -> bool:
    """True if no class in the MRO defines a constructor; `inspect` would parse Python source to find that out."""
    return cls.__init__ is object.__init__ and cls.__new__ is object.__new__ and type(cls).__call__ is type.__call__


def is_sync(cls: type[PipelineAdapter]) -> bool:
    """True if `process` is a plain function, which the engine calls in a worker thread."""
    return not inspect.iscoroutinefunction(cls.process)


def _check_process(cls: type[PipelineAdapter]) -> None:
    function = _method(cls, "process", PROCESS_LINE)
    where = f"{cls.__qualname__}.process"
    innermost = inspect.unwrap(function)
    if inspect.isasyncgenfunction(innermost) or inspect.isgeneratorfunction(innermost):
        raise AdapterRegistrationError(
            f"{where} is a generator function (it contains `yield`), and process returns one result",
            "move the generator into a method of its own and write: return AdapterResult(emitted=self.lines(context))",
        )
    if inspect.iscoroutinefunction(innermost) and not inspect.iscoroutinefunction(function):
        raise AdapterRegistrationError(
            f"{where} is an async function behind a synchronous decorator, which the engine would call in a thread",
            "make the decorator's wrapper `async def` and await the function in it",
        )
    _check_arguments(where, function, "self, context", PROCESS_LINE)


def _check_place(cls: type[PipelineAdapter]) -> None:
    runs_in: object = cls.runs_in
    if runs_in not in {None, "thread", "process"}:
        raise AdapterRegistrationError(
            f'{cls.__qualname__}.runs_in is "thread", "process" or None, got {runs_in!r}', 'write runs_in = "process"'
        )
    if runs_in is not None and not is_sync(cls):
        raise AdapterRegistrationError(
            f"{cls.__qualname__} sets runs_in and its process is async, which runs on trio",
            "remove runs_in, or write def process(self, context: PipelineContext) -> AdapterResult | None:",
        )
    if runs_in == "process" and issubclass(cls, StatefulAdapter):
        raise AdapterRegistrationError(
            f"{cls.__qualname__} is a StatefulAdapter, and each worker process would have a state of its own",
            "subclass PipelineAdapter, or remove runs_in",
        )


def _check_lifecycle(cls: type[PipelineAdapter]) -> None:
    for name, (arguments, line) in _LIFECYCLE.items():
        if not issubclass(cls, StatefulAdapter):
            if inspect.iscoroutinefunction(getattr(cls, name, None)):
                raise AdapterRegistrationError(
                    f"{cls.__qualname__} defines async {name}() but is not a StatefulAdapter, so the engine would "
                    "never call it",
                    f"write class {cls.__name__}(StatefulAdapter):",
                )
            continue
        function = _method(cls, name, line)
        if not inspect.iscoroutinefunction(function):
            raise AdapterRegistrationError(f"{cls.__qualname__}.{name} must be `async def`", f"write: {line}")
        _check_arguments(f"{cls.__qualname__}.{name}", function, arguments, line)


def _check_state(cls: type[PipelineAdapter]) -> None:
    for name, (arguments, line) in _STATE.items():
        if not issubclass(cls, StatefulAdapter):
            continue
        function = _method(cls, name, line)
        if inspect.iscoroutinefunction(function):
            raise AdapterRegistrationError(
                f"{cls.__qualname__}.{name} must be a plain function, called between two messages", f"write: {line}"
            )
        _check_arguments(f"{cls.__qualname__}.{name}", function, arguments, line)
    for name, other in (("snapshot", "restore"), ("restore", "snapshot")):
        if overrides(cls, name) and not overrides(cls, other):
            raise AdapterRegistrationError(
                f"{cls.__qualname__} defines {name}() without {other}(), so that what it keeps could not be stored and "
                "taken up again",
                f"write in it: {_STATE[other][1]}",
            )
    if issubclass(cls, StatefulAdapter) and cls.durable_batches and not overrides(cls, "flush"):
        raise AdapterRegistrationError(
            f"{cls.__qualname__} sets durable_batches and has no flush() that would make anything durable",
            f"write in it: {_LIFECYCLE['flush'][1]}",
        )
    if overrides(cls, "flush") and not cls.durable_batches:  # type: ignore[attr-defined]  # it is a StatefulAdapter
        raise AdapterRegistrationError(
            f"{cls.__qualname__} defines flush(), which is not called without durable_batches",
            "write in its body: durable_batches = True",
        )


def _method(cls: type[PipelineAdapter], name: str, line: str) -> Callable[..., Any]:
    found = inspect.getattr_static(cls, name)
    if inspect.isfunction(found):
        return found
    kind = type(found).__name__
    raise AdapterRegistrationError(f"{cls.__qualname__}.{name} must be a method, it is a {kind}", f"write: {line}")


def _check_arguments(where: str, function: Callable[..., Any], arguments: str, line: str) -> None:
    signature = inspect.signature(function)
    parameters = signature.parameters.values()
    wanted = arguments.count(",") + 1
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    demanded = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if (len(positional) == wanted or (takes_any and len(positional) < wanted)) and not demanded:
        return
    raise AdapterRegistrationError(
        f"{where} is called with ({arguments}) and nothing else, its signature is {signature}",
        f"write: {line}" + (f" ({_IN_CONTEXT})" if line == PROCESS_LINE else ""),
    )


def _with_self(signature: inspect.Signature) -> str:
    text = str(signature.replace(return_annotation=inspect.Signature.empty))
    return "(self)" if text == "()" else f"(self, {text[1:]}"


def _suggested_name(name: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    parts = [re.sub(r"[^a-z0-9]+", "_", part).strip("_").lstrip("0123456789_") for part in words.split(".")]
    return ".".join(part for part in parts if part) or "my_adapter"
