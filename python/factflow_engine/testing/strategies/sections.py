"""Values of the fields of the configuration's models, read from the models: kinds, bounds, and alternatives.

Kept separate from where fields are put (`decorations`), because a new field of a model is drawn without a line here. Only
fields whose values must fit those of others have values of their own: so chosen that any of them go together, also where a
route inherits one and writes the other.
"""

from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from factflow_engine.native import LIMIT_ALGORITHMS

Values = st.SearchStrategy[Any]

_NUMBERS: Final = (0, 1, 2, 3, 5, 10, 100, 1_000)
_FRACTIONS: Final = (0, 1, 0.1, 0.5, 2, 5, 10, 60)

TEXTS: Final = ("a", "b", "Parse pages", "é")
RETRIED: Final = ("OSError", "TimeoutError")
GIVEN_UP: Final = ("ValueError", "KeyError")
_ERRORS: Final = (*RETRIED, *GIVEN_UP)
_PATHS: Final = ("id", "kind", "total")

PARAMETERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "fixed": {"window": {"size": 10}},
    "aimd": {"backoff": 0.8},
    "vegas": {"smoothing": 0.5},
    "gradient": {"tolerance": 2.0},
    "gradient2": {"long_window": 100},
    "arc": {"decrease_ratio": 0.5},
    "plateau": {"margin": 1.5},
    "brpc": {"smoothing": 0.2},
    "bbr": {"buckets": 20},
}
"""Parameters by limit algorithm; one that is not here is drawn without any."""


def _some_of(names: tuple[str, ...]) -> Values:
    return st.lists(st.sampled_from(names), unique=True, max_size=2)


_OWN: Final[Mapping[str, Mapping[str, Values]]] = {
    "ErrorHandlingConfig": {
        "retry_delay_seconds": st.sampled_from((0, 0.1, 1)),
        "max_delay_seconds": st.sampled_from((1, 10, 60)),
        "retry_on": _some_of(RETRIED),
        "give_up_on": _some_of(GIVEN_UP),
        "max_retries": st.sampled_from((0, 1, 2, 3)),
    },
    "BackpressureConfig": {
        "algorithm": st.sampled_from(LIMIT_ALGORITHMS),
        "target_latency_ms": st.sampled_from((1, 100, 5_000)),
        "min_concurrency": st.sampled_from((1, 2, 3)),
        "initial_concurrency": st.sampled_from((3, 4, 5)),
        "max_concurrency": st.sampled_from((5, 10, 100)),
        "key": st.sampled_from(_PATHS),
    },
    "CircuitBreakerConfig": {
        "key": st.sampled_from(_PATHS),
        "wait_duration_seconds": st.sampled_from((0.1, 1, 5)),
        "max_wait_duration_seconds": st.sampled_from((5, 10, 60)),
        "record_errors": _some_of(_ERRORS),
        "ignore_errors": _some_of(_ERRORS),
    },
    "InboundConfig": {"subscription": st.sampled_from(("s", "others"))},
    "AdapterConfig": {"processes": st.sampled_from((1, 2)), "timeout_seconds": st.sampled_from((0.5, 5, 60))},
    "StoreConfig": {
        "content_field": st.sampled_from(_PATHS),
        "extension": st.sampled_from(("html", "txt")),
        "content_type": st.sampled_from(("text/html", "application/json")),
    },
    "StorageMetadataField": {"name": st.sampled_from(("id", "kind", "total", "author")), "source": st.sampled_from(_PATHS)},
    "StorageConfig": {"url": st.just("memory://")},
}  # fmt: skip
"""Values of fields by model and field."""


@cache
def value_of(model: type[BaseModel], name: str) -> Values:
    """Return a strategy for the values of a field, as they are written; None where the field has such a value."""
    field = model.model_fields[name]
    own = _OWN.get(model.__name__, {}).get(name)
    if own is None:
        return _of_type(field.annotation, field)
    return own | st.none() if _takes_none(field.annotation) and not field.is_required() else own


def _takes_none(kind: Any) -> bool:
    return get_origin(kind) in {Union, UnionType} and NoneType in get_args(kind)


def _of_type(kind: Any, field: FieldInfo) -> Values:
    origin = get_origin(kind)
    if origin is Annotated:
        return _of_type(get_args(kind)[0], field)
    if origin in {Union, UnionType}:
        return st.one_of(*(_of_type(part, field) for part in get_args(kind)))
    if origin is Literal:
        return st.sampled_from(get_args(kind))
    if kind in {NoneType, None}:
        return st.none()
    if kind is bool:
        return st.booleans()
    if kind in {int, float}:
        return st.sampled_from(_numbers(kind, field))
    if kind is str:
        return st.sampled_from(TEXTS)
    raise TypeError(f"expected a field with values of its own, got one of type {kind}: add it to _OWN")


def _numbers(kind: type, field: FieldInfo) -> tuple[float, ...]:
    """Return plain numbers within the field's bounds, the least that it takes first if it takes none of these."""
    least, above, most = (
        next((getattr(one, name) for one in field.metadata if getattr(one, name, None) is not None), None)
        for name in ("ge", "gt", "le")
    )
    plain = [
        number
        for number in (_NUMBERS if kind is int else _FRACTIONS)
        if (least is None or number >= least) and (above is None or number > above) and (most is None or number <= most)
    ]
    return tuple(plain or [number for number in (least, most) if number is not None])
