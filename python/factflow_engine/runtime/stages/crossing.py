"""Encoding of messages for a worker process, and of its results and errors.

Messages and results are sent as msgpack, which cannot run code when it is read. Errors are sent as pickles: the
adapter's own code makes them, and they must arrive as the classes that the program's error handling knows.

Kept separate from both ends because they must agree on it, and a simulation uses it without a worker process.
"""

import pickle
from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final

from factflow_engine.error_texts import describe, error_text, qualified_name, trace_of
from factflow_engine.frames import pack, unpack
from factflow_engine.runtime.stages.failure_place import WorkerTraceback, place_of
from factflow_engine.runtime.stages.results import LazyResultError, pack_result, unpack_result
from factflow_protocols import AdapterResult, FactflowError, PipelineAdapter, PipelineContext, Reject, StageInfo

_RESULT: Final = b"r"
_ERROR: Final = b"e"
"""First byte of an answer that is an error."""


class UnpicklableError(FactflowError):
    """Error of an adapter in a worker process that cannot be pickled.

    Attributes:
        class_name: Name of its class, with its module.
    """

    def __init__(self, class_name: str, text: str, reason: str) -> None:
        self.class_name = class_name
        super().__init__(f"{class_name}: {text} (raised in a worker process; the error cannot be pickled: {reason})")


def pack_request(context: PipelineContext) -> bytes:
    """Return the request that sends a message to a worker process."""
    return pack(
        [
            context.payload,
            dict(context.headers),
            context.key,
            context.message_id,
            context.correlation_id,
            context.parent_id,
            context.attempt,
        ]
    )


class CrossedContext(PipelineContext):
    """Context of a message in the worker process."""

    def __init__(self, info: StageInfo, request: bytes) -> None:
        self._info = info
        self._values: Any = unpack(request)

    @property
    def message(self) -> Any:  # noqa: D102 - these are documented on the protocol
        return self._message

    @cached_property
    def _message(self) -> Any:
        return unpack(self._values[0])

    @property
    def payload(self) -> bytes:  # noqa: D102
        payload: bytes = self._values[0]
        return payload

    @property
    def headers(self) -> Mapping[str, Any]:  # noqa: D102
        return MappingProxyType(self._values[1])

    @property
    def key(self) -> str | None:  # noqa: D102
        key: str | None = self._values[2]
        return key

    @property
    def message_id(self) -> str:  # noqa: D102
        return str(self._values[3])

    @property
    def correlation_id(self) -> str:  # noqa: D102
        return str(self._values[4])

    @property
    def parent_id(self) -> str | None:  # noqa: D102
        parent_id: str | None = self._values[5]
        return parent_id

    @property
    def attempt(self) -> int:  # noqa: D102
        return int(self._values[6])

    @property
    def execution_id(self) -> str:  # noqa: D102
        return self._info.execution_id

    @property
    def route(self) -> str:  # noqa: D102
        return self._info.route

    @property
    def stage(self) -> str:  # noqa: D102
        return self._info.stage


def answer(adapter: PipelineAdapter, info: StageInfo, request: bytes) -> bytes:
    """Call a synchronous adapter, in a context of its own; return its packed result or error.

    Exceptions that are not an `Exception` propagate: `sys.exit()` ends the worker process.
    """
    try:
        process: Callable[[PipelineContext], Any] = adapter.process
        result = copy_context().run(process, CrossedContext(info, request))
        try:
            return _RESULT + pack_result(result)
        except LazyResultError as lazy:
            raise Reject(
                f"a stage in a worker process must emit a list, got {lazy}; write AdapterResult(emitted=[...]) "
                "in the adapter, or isolation: thread in the stage"
            ) from None
    except Exception as error:  # noqa: BLE001 - it is raised where the message is
        return pack_error(error)


def pack_error(error: BaseException) -> bytes:
    """Return the packed form of an error."""
    pickled, reason = _pickled(error)
    texts = (qualified_name(error), error_text(error), reason, trace_of(error), place_of(error))
    return _ERROR + pack([pickled, *map(_sayable, texts)])


def result_of(packed: bytes) -> AdapterResult | None:
    """Return the result in an answer, or raise its error."""
    if packed[:1] == _RESULT:
        return unpack_result(packed[1:])
    values: Any = unpack(packed[1:])
    pickled, name, text, reason, trace, place = values
    if pickled is not None:
        try:
            error: Any = pickle.loads(pickled)  # noqa: S301 - an error that the adapter's own code raised
        except Exception as failure:  # noqa: BLE001 - what its class does to be made anew is anybody's
            reason = describe(failure)
        else:
            raise error from WorkerTraceback(trace, place)
    raise UnpicklableError(name, text, reason) from WorkerTraceback(trace, place)


def _pickled(error: BaseException) -> tuple[bytes | None, str]:
    """Return the pickle of an error, after a test load; without one, return the reason."""
    reason = ""
    for form in (error, _Remade(error)):
        try:
            pickled = pickle.dumps(form)
            again = pickle.loads(pickled)  # noqa: S301 - written in the line above
            if type(again) is type(error) and error_text(again) == error_text(error):
                return pickled, ""
            reason = reason or f"it comes back as {describe(again)}"
        except BaseException as failure:  # noqa: BLE001 - so it cannot be pickled, whatever the reason
            reason = reason or describe(failure)
    return None, reason


class _Remade:
    """Pickle of an error by its arguments and attributes: its constructor, which may need others, is not called."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> tuple[Any, ...]:
        error = self._error
        return _remade, (type(error), error.args, vars(error))


def _remade(cls: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    error = cls.__new__(cls, *args)
    error.args = args  # an OSError with a constructor of its own has none yet
    vars(error).update(attributes)
    return error


def _sayable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
