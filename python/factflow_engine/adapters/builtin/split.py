"""`split`: one message with a list in it becomes one message for each element."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_engine.field_names import FieldName
from factflow_engine.field_paths import MISSING, FieldPath, kind_of
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext, Reject


class SplitConfig(BuiltinConfig):
    """The list to split, and the fields of the children."""

    field: FieldName
    """The field that holds the list."""
    element_to: FieldName | None = None
    """Field of the child that holds the element. Without it the element itself is the child message."""
    keep: Annotated[tuple[FieldName, ...], Field()] = ()
    """Fields of the parent that each child gets, at the same paths; those that the parent lacks are left out."""
    index_to: FieldName | None = None
    """Field of the child that holds the element's place in the list, from 0."""

    @model_validator(mode="after")
    def _distinct_targets(self) -> Self:
        targets = [name for name in (self.element_to, self.index_to, *self.keep) if name is not None]
        seen: set[str] = set()
        for name in targets:
            if name in seen:
                raise ValueError(f"the child's field {name!r} is given two values; rename element_to or index_to")
            seen.add(name)
        return self


class Split(PipelineAdapter):
    """Adapter that emits each element of a list in the message."""

    config_model: ClassVar[type[Any] | None] = SplitConfig
    summary: ClassVar[str] = "Emit each element of a list in the message."

    def __init__(self, config: SplitConfig) -> None:
        self._field = FieldPath(config.field)
        self._element_to = FieldPath(config.element_to) if config.element_to is not None else None
        self._keep = tuple(FieldPath(text) for text in config.keep)
        self._index_to = FieldPath(config.index_to) if config.index_to is not None else None

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Emit the children. An empty list emits none.

        Raises:
            Reject: The field is missing or not a list; while children are pulled, an element that should get fields is
            not a map.
        """
        message = context.message
        elements = self._field.require(message)
        if not isinstance(elements, list):
            raise Reject(f"field {self._field.text!r} must hold a list, it holds {kind_of(elements)}")
        return AdapterResult(emitted=self._children(message, elements))

    def _children(self, message: Any, elements: list[Any]) -> Iterator[Any]:
        for index, element in enumerate(elements):
            child: Any = {} if self._element_to is not None else element
            for path in self._keep:
                value = path.get(message)
                if value is not MISSING:
                    path.set(child, value)
            if self._element_to is not None:
                self._element_to.set(child, element)
            if self._index_to is not None:
                self._index_to.set(child, index)
            yield child
