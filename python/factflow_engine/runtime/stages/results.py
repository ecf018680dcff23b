"""Result of `process` as bytes, and back: for stored answers, and for worker processes.

Kept separate from `answers` and `crossing` because both write results, and every result must be read as it was written.
"""

from collections.abc import Sequence
from typing import Any, Final

from factflow_engine.frames import pack, unpack
from factflow_protocols import AdapterResult, Emit, FactflowError

FORWARD: Final = AdapterResult.forward()

_FILTERED: Final = b"0"
_FORWARDED: Final = b"1"
_CHANGED: Final = b"2"
_EMITTED: Final = b"3"
"""First byte of a result that emits; the packed values follow."""


class LazyResultError(FactflowError):
    """Result that emits from an iterator, which cannot be stored."""


def pack_result(result: Any) -> bytes:
    """Return the bytes of a result of `process`.

    Raises:
        LazyResultError: It emits from something other than a sequence.
        TypeError: It is neither an AdapterResult nor None.
        CodecError: A message cannot carry its content.
    """
    if result is None:
        return _FILTERED
    if result is FORWARD:
        return _FORWARDED
    if type(result) is not AdapterResult:
        raise TypeError(not_a_result(result))
    headers = None if result.headers is None else dict(result.headers)
    if result.emitted is None:
        return _CHANGED + pack([pack(result.message), headers])
    if not isinstance(result.emitted, Sequence):
        raise LazyResultError(type(result.emitted).__name__)
    return _EMITTED + pack([[_packed(value) for value in result.emitted], headers])


def unpack_result(packed: bytes) -> AdapterResult | None:
    """Return a copy of the result that `pack_result` was given."""
    kind = packed[:1]
    if kind == _FILTERED:
        return None
    if kind == _FORWARDED:
        return FORWARD
    unpacked: Any = unpack(packed[1:])
    value, headers = unpacked
    if kind == _EMITTED:
        return AdapterResult(emitted=[_emitted(*each) for each in value], headers=headers)
    return AdapterResult(message=unpack(value), headers=headers)


def not_a_result(value: object) -> str:
    """Return the fault of a value that `process` returned instead of a result."""
    return (
        f"process() returned {type(value).__name__}; expected AdapterResult or None: "
        "return AdapterResult(message=...), AdapterResult(emitted=[...]) or AdapterResult.forward()"
    )


def _packed(value: Any) -> list[Any]:
    if type(value) is Emit:
        return [pack(value.payload), value.key, None if value.headers is None else dict(value.headers)]
    return [pack(value), None, None]


def _emitted(payload: bytes, key: str | None, headers: dict[str, Any] | None) -> Emit:
    return Emit(unpack(payload), key=key, headers=headers)
