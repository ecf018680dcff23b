"""Base of all configuration models: frozen, strict, without unknown fields, and with a repr that shows no secret.

Kept separate so that the file of each model holds only its fields.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from factflow_engine.config.frozen import FrozenDict

Item = TypeVar("Item")

Path = tuple[str | int, ...]

Sequence_ = Annotated[tuple[Item, ...], Field(strict=False)]
"""A tuple that a YAML list may fill; its items are checked strictly."""


class ConfigModel(BaseModel):
    """Base of the models. Two are equal if their fields are, wherever they were read from.

    `repr` shows a field whose value came from the environment as it was written, `${NAME}`.
    """

    # Built at first use: loading needs only the validator of the whole document, which contains those of its parts.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)

    # Path inside this model to the text written there; only for values with a reference to the environment.
    _references: Mapping[Path, str] = PrivateAttr(default_factory=FrozenDict)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        below = _by_first_part(self._references)
        for name, value in self.__dict__.items():
            hidden = below.get(name)
            yield name, substitute(value, hidden) if hidden else value


def substitute(value: Any, texts: Mapping[Path, str]) -> Any:
    """Return a plain copy of the value with the given texts at their paths; models are left alone."""
    if () in texts:
        return texts[()]
    if isinstance(value, BaseModel) or not texts:
        return value

    below = _by_first_part(texts)
    if isinstance(value, Mapping):
        return {key: substitute(item, below.get(key, {})) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [substitute(item, below.get(index, {})) for index, item in enumerate(value)]
        return tuple(items) if isinstance(value, tuple) else items
    return value


def _by_first_part(texts: Mapping[Path, str]) -> dict[str | int, dict[Path, str]]:
    """Return the texts below each part, in one pass."""
    below: dict[str | int, dict[Path, str]] = {}
    for path, text in texts.items():
        if path:
            below.setdefault(path[0], {})[path[1:]] = text
    return below


def attach_references(value: Any, texts: Mapping[Path, str]) -> None:
    """Tell each model in the tree which of its values came from the environment."""
    if not texts:
        return
    if isinstance(value, BaseModel):
        private = value.__pydantic_private__
        assert private is not None, "every model of a configuration has this attribute"
        private["_references"] = FrozenDict(texts)
        children: Iterator[tuple[str | int, Any]] = iter(value.__dict__.items())
    elif isinstance(value, Mapping):
        children = iter(value.items())
    elif isinstance(value, (list, tuple)):
        children = iter(enumerate(value))
    else:
        return
    below = _by_first_part(texts)
    for part, child in children:
        attach_references(child, below.get(part, {}))
