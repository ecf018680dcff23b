"""Model of what is recorded of the way of each message.

Kept separate from the document because it is a table of its own in the reference.
"""

from typing import Literal

from pydantic import Field

from factflow_engine.config.models.base import ConfigModel
from factflow_engine.config.models.openlineage import OpenLineageConfig


class LineageConfig(ConfigModel):
    """Records of the way of each message. Without this section nothing is recorded."""

    mode: Literal["off", "sampled", "full"] = Field(
        default="full", description="Messages that are recorded: none, those of a share of the root messages, or all."
    )
    sample_rate: float = Field(
        default=0.01,
        gt=0,
        le=1,
        description="With mode: sampled, the share of root messages that are recorded with all they lead to; the same "
        "ones in every run and process.",
    )
    hash_payloads: bool = Field(
        default=False, description="True to record a hash of the payload before and after each stage."
    )
    record_values: bool = Field(
        default=True,
        description="True to record, where a stage is skipped, what the message had in the field that its condition "
        "asks for: at most 200 characters. Values from the environment are never recorded.",
    )
    url: str | None = Field(
        default=None,
        min_length=1,
        description="The store, as sqlite:///DIRECTORY; none: that of the program, or of the home of the command line.",
    )
    retention_days: float | None = Field(
        default=30.0, gt=0, le=36_500, description="Days for which a row is kept at least; null: no limit."
    )
    retention_bytes: int | None = Field(
        default=10 * 2**30,
        ge=2**20,
        le=2**60,
        description="Bytes that the store may hold, of all executions; null: no limit.",
    )
    buffer_bytes: int = Field(
        default=64 * 2**20,
        ge=2**16,
        le=2**40,
        description="Bytes of rows that may wait for the store; rows beyond that are counted and lost.",
    )
    finish_seconds: float = Field(
        default=5.0,
        ge=0,
        le=86_400,
        description="Seconds for which the end of an execution waits for its last rows to be written.",
    )
    openlineage: OpenLineageConfig | None = Field(
        default=None, description="Events of the start and the end of each execution, in whatever mode; none: off."
    )
