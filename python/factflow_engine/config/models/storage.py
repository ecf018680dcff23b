"""Models of what is stored: the object store of the document, the `store` of a stage, and declared metadata.

Kept separate from the document and the route because both refer to them.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from factflow_engine.config.models.base import ConfigModel, Sequence_
from factflow_engine.stages.sections import MAX_FIELDS, FieldSection, StoreSection, refuse_twice


class StorageMetadataField(ConfigModel, FieldSection):
    """One field of the metadata of stored objects."""


class StorageMetadataConfig(ConfigModel):
    """Declared metadata of stored objects. Undeclared fields, such as those of other writers, are kept."""

    fields: Sequence_[StorageMetadataField] = Field(
        default=(), max_length=MAX_FIELDS, description="The fields, each read from the message."
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        refuse_twice(self.fields)
        return self


class StoreConfig(ConfigModel, StoreSection):
    """Objects that a stage stores, one for each message, under `executions/<execution>/<route>/<stage>/<message-id>`."""

    what: Literal["output", "input"] = Field(
        default="output",
        description="output: what the stage made of the message, each emitted message by itself; input: the message as it "
        "came to the stage.",
    )
    metadata: StorageMetadataConfig = Field(
        default_factory=StorageMetadataConfig,
        description="Metadata fields of these objects, beside those of storage.metadata; of one name this one counts.",
    )


class StorageConfig(ConfigModel):
    """Object store of the stages."""

    url: str | None = Field(
        default=None,
        min_length=1,
        description="The object store, as file:///directory or memory://; by default the one of the program that runs the "
        "pipeline.",
    )
    metadata: StorageMetadataConfig = Field(
        default_factory=StorageMetadataConfig, description="Metadata fields of every object that a stage stores."
    )
