"""`store_object`: write what passes, as the engine itself stores what stages make, and hand on where it lies."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_engine.field_names import FieldName
from factflow_engine.field_paths import FieldPath, require_map
from factflow_engine.stages.scoped_storage import ScopedStorage
from factflow_engine.stages.sections import MAX_FIELDS, FieldSection, StoreSection, refuse_twice
from factflow_engine.stages.writer import StageWriter
from factflow_protocols import AdapterResult, PipelineContext, StorageBackendAdapter, StorageProtocol


class StoreObjectField(FieldSection, BuiltinConfig):
    """One field of the metadata of stored objects."""


class StoreObjectMetadata(BuiltinConfig):
    """Declared metadata of stored objects."""

    fields: Annotated[tuple[StoreObjectField, ...], Field(max_length=MAX_FIELDS)] = ()
    """The fields."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        refuse_twice(self.fields)
        return self


class StoreObjectConfig(StoreSection, BuiltinConfig):
    """Part of each message that is stored, and the place for the result in the message."""

    metadata: StoreObjectMetadata = Field(default_factory=StoreObjectMetadata)
    """Metadata fields of these objects, beside those of `storage.metadata`."""
    result_field: FieldName | None = None
    """Path at which the message gets the result. Without it the result is the message."""
    drop_content: bool = False
    """True to remove the stored `content_field` from the message, which then carries only the reference to it."""

    @model_validator(mode="after")
    def _has_something_to_drop(self) -> Self:
        if self.drop_content and (self.content_field is None or self.result_field is None):
            raise ValueError("drop_content needs content_field and result_field; without them nothing is kept anyway")
        return self


class StageStorageAdapter(StorageBackendAdapter):
    """Adapter that stores each message, and hands on a `StageStorageResult`."""

    config_model: ClassVar[type[Any] | None] = StoreObjectConfig
    summary: ClassVar[str] = (
        "Write the message, or one field of it, to the object store; hand on key, size and checksum."
    )

    def __init__(self, config: StoreObjectConfig) -> None:
        self._config = config
        self._content = None if config.content_field is None else FieldPath(config.content_field)
        self._result = None if config.result_field is None else FieldPath(config.result_field)
        self._writer: StageWriter | None = None

    def bind_storage(self, storage: StorageProtocol) -> None:
        """See `StorageBackendAdapter.bind_storage`.

        Raises:
            TypeError: The store is not an execution's.
        """
        super().bind_storage(storage)
        if not isinstance(storage, ScopedStorage):
            raise TypeError(f"store_object needs the ScopedStorage of an execution, got {type(storage).__name__}")
        config = self._config
        self._writer = StageWriter(
            storage.place,
            what="input",
            content_field=config.content_field,
            extension=config.extension,
            content_type=config.content_type,
            fields=config.metadata.fields,
        )

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Store the message under its own id; a redelivery replaces its object.

        Raises:
            StageStorageError: The message cannot be stored as the configuration says.
            StorageError: The store failed.
            Reject: There is no place for the result in the message.

        Cancellation: the old or the new object is there.
        """
        if self._writer is None:
            self.storage  # noqa: B018 - raises: the engine has bound nothing
            raise AssertionError("a bound adapter has a writer")  # pragma: no cover
        if self._result is not None:
            require_map(context.message, "store_object")
        stored = (await self._writer.write(context)).as_message()
        if self._result is None:
            return AdapterResult(message=stored)
        message = require_map(context.message, "store_object")
        if self._content is not None and self._config.drop_content:
            self._content.pop(message)
        self._result.set(message, stored)
        return AdapterResult(message=message)
