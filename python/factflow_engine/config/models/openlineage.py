"""Model of where events of executions go.

Kept separate from lineage because rows of messages and events of executions go to different systems.
"""

from typing import Self

from pydantic import Field, model_validator

from factflow_engine.config.models.base import ConfigModel
from factflow_engine.lineage.openlineage.targets import check_url


class OpenLineageConfig(ConfigModel):
    """OpenLineage events of each execution: its start and its end, never its messages."""

    url: str = Field(
        min_length=1,
        description="A file of JSON lines, as file://./events.jsonl, or an endpoint, as https://host/api/v1/lineage.",
    )
    namespace: str = Field(default="factflow", min_length=1, description="Namespace of jobs and datasets.")
    api_key: str | None = Field(
        default=None, min_length=1, description="Token for the endpoint; write ${NAME}, so that it is stored nowhere."
    )
    timeout_seconds: float = Field(default=5.0, gt=0, le=600, description="Longest wait for one answer.")
    finish_seconds: float = Field(
        default=5.0, ge=0, le=600, description="Seconds for which the end of an execution waits for its last events."
    )

    @model_validator(mode="after")
    def _usable_url(self) -> Self:
        if problem := check_url(self.url):
            raise ValueError(f"the URL {problem}")
        return self
