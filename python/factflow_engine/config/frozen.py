"""Immutable mappings and lists that are still a `dict` and a `list` for every reader.

Kept separate because every model uses them: a configuration must not change under a running execution, while pydantic,
the condition compiler and the codec need the plain types.
"""

from collections.abc import Mapping
from typing import Any, NoReturn, Self, TypeVar, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

K = TypeVar("K")
V = TypeVar("V")


def _refuse(self: object, *_: object, **__: object) -> NoReturn:
    raise TypeError(
        f"{type(self).__name__} cannot be changed: it belongs to a frozen configuration; "
        "change a copy, made by dict(...) or list(...)"
    )


class FrozenDict(dict[K, V]):
    """A dict that refuses every change; hashable if its values are. As a model's field it freezes its input."""

    __slots__ = ()

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # dict has none because it can change; this one cannot
        return hash(frozenset(self.items()))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        key, value = get_args(source) or (str, Any)
        inner = core_schema.dict_schema(handler.generate_schema(key), handler.generate_schema(value))
        return core_schema.no_info_after_validator_function(deep_freeze, inner)


class FrozenList(list[V]):
    """A list that refuses every change; hashable if its items are."""

    __slots__ = ()

    __setitem__ = __delitem__ = __iadd__ = __imul__ = append = clear = extend = insert = pop = remove = reverse = (
        sort
    ) = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # list has none because it can change; this one cannot
        return hash(tuple(self))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self),)


def deep_freeze(value: Any) -> Any:
    """Return the value with every mapping and list in it frozen; an immutable value is returned unchanged."""
    if isinstance(value, (FrozenDict, FrozenList)):
        return value
    if isinstance(value, Mapping):
        return FrozenDict({key: deep_freeze(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return FrozenList(deep_freeze(item) for item in value)
    return value
