"""Models of the whole document, and of the sections that belong to an execution rather than to a route.

Kept separate from the routes because this is the snapshot that an execution runs: canonical, hashed, never changed.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr

from factflow_engine.config.canonical import canonical_hash, to_yaml
from factflow_engine.config.frozen import FrozenDict, deep_freeze
from factflow_engine.config.mapping import to_mapping
from factflow_engine.config.models.base import ConfigModel, Sequence_
from factflow_engine.config.models.lineage import LineageConfig
from factflow_engine.config.models.resilience import BackpressureConfig, CircuitBreakerConfig, ErrorHandlingConfig
from factflow_engine.config.models.route import RouteConfig
from factflow_engine.config.models.storage import StorageConfig
from factflow_engine.config.text import Source


class InitMessageConfig(ConfigModel):
    """A message that is published once every route of an execution has subscribed."""

    route: str = Field(description="Id of the route that gets it.")
    payload: Any = Field(description="The message: any value that YAML can say.")
    headers: FrozenDict[str, Any] = Field(default_factory=FrozenDict, description="The message's headers.")
    key: str | None = Field(default=None, description="The message's key; see inbound.ordering.")

    def model_post_init(self, _context: Any, /) -> None:
        """Freeze the payload."""
        # A value of any type has no schema to freeze it.
        object.__setattr__(self, "__dict__", {**self.__dict__, "payload": deep_freeze(self.payload)})


class OrchestratorConfig(ConfigModel):
    """Limits of an execution as a whole: its failures, its memory of them, and the time for its end."""

    max_failed_messages: int | None = Field(
        default=None, ge=0, description="Failed messages above which the execution fails; none: no bound."
    )
    max_recorded_failures: int = Field(
        default=1_000, ge=0, le=1_000_000, description="Failures kept in the report; further ones are counted."
    )
    drain_seconds: float | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="Seconds that a drain gives to started and waiting messages, retries included, unless the caller "
        "gives another time; none: until all have ended.",
    )
    finish_seconds: float = Field(
        default=30.0,
        gt=0,
        le=86_400,
        description="Seconds for a stage's finish() while the execution drains, besides drain_seconds.",
    )
    close_seconds: float = Field(
        default=5.0, gt=0, le=86_400, description="Seconds for a stage's close(), after which it is cancelled."
    )


class ProcessorConfig(ConfigModel):
    """Time slices and time limits of the loop that carries messages."""

    quantum_microseconds: int = Field(
        default=150, ge=1, le=1_000_000, description="Microseconds of work after which a worker yields to other tasks."
    )
    stall_seconds: float = Field(
        default=30.0,
        gt=0,
        le=86_400,
        description="Seconds without progress after which an execution with messages reports what each of them waits for.",
    )
    snapshot_seconds: float = Field(
        default=1.0,
        ge=0,
        le=3_600,
        description="With queues that outlive the process: seconds for which a route's acknowledgements are collected "
        "if one of its stages keeps a state, which is stored with them.",
    )
    flush_seconds: float = Field(
        default=30.0,
        gt=0,
        le=86_400,
        description="Seconds for a stage's flush(); a longer one fails the execution.",
    )


class PipelineGlobalConfig(ConfigModel):
    """A pipeline as an execution runs it: complete, frozen, hashed. Made by `PipelineConfigLoader`.

    Every default is filled in, and each route holds its inherited sections. Values from the environment are in place,
    but none of `repr`, `to_mapping`, `to_yaml` and `hash` shows them.
    """

    version: Literal["1.0"] = Field(description="Version of the configuration language.")
    name: str = Field(default="pipeline", min_length=1, description="For people.")
    description: str = Field(default="", description="For people.")
    routes: FrozenDict[str, RouteConfig] = Field(min_length=1, description="The routes by id.")
    init_message: Sequence_[InitMessageConfig] = Field(
        default=(), description="Messages published at the start: one or a list."
    )
    error_handling: ErrorHandlingConfig = Field(
        default_factory=ErrorHandlingConfig, description="Defaults of the routes."
    )
    backpressure: BackpressureConfig | None = Field(default=None, description="Defaults of the routes.")
    circuit_breaker: CircuitBreakerConfig | None = Field(
        default=None, description="Defaults of the routes and their stages."
    )
    orchestrator: OrchestratorConfig = Field(
        default_factory=OrchestratorConfig, description="Limits of the execution as a whole."
    )
    processor: ProcessorConfig = Field(default_factory=ProcessorConfig, description="The loop that carries messages.")
    storage: StorageConfig | None = Field(default=None, description="Object store of the stages.")
    lineage: LineageConfig | None = Field(default=None, description="Records of the way of each message; none: off.")

    _source: str = PrivateAttr(default="")
    _file: str = PrivateAttr(default="")
    _directory: Path = PrivateAttr(default_factory=Path)
    _secrets: Mapping[str, str] = PrivateAttr(default_factory=FrozenDict)
    _hash: str | None = PrivateAttr(default=None)

    @property
    def source(self) -> str:
        """The text that was loaded, as written; empty if there was none."""
        return self._source

    @property
    def file(self) -> str:
        """The file that was loaded, as findings name it, or the name of the text; empty if there was none."""
        return self._file

    @property
    def directory(self) -> Path:
        """Folder that relative paths in the configuration start from: the file's, or the working directory."""
        return self._directory

    @property
    def hash(self) -> str:
        """Hash of the canonical form: SHA-256, in 64 hexadecimal digits.

        The order of keys does not change it, that of list items does. References to the environment are hashed as
        written (`${NAME}`), not with their values: the hash can be shown and stored, and a new password does not make
        another configuration.
        """
        if self._hash is None:
            self._hash = canonical_hash(self.to_mapping())
        return self._hash

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy, with other values of some fields."""
        copied = super().model_copy(update=update, deep=deep)
        copied._hash = None
        return copied

    @property
    def secrets(self) -> Mapping[str, str]:
        """Values that came from the environment, each with its written form, such as `${NAME}`; never to be shown.

        Not part of the configuration: two that differ only here are equal.
        """
        return self._secrets

    @property
    def warm_starts(self) -> bool:
        """True if a limit begins where that of the last execution was."""
        sections = [route.backpressure for route in self.routes.values()]
        sections += [stage.backpressure for route in self.routes.values() for stage in route.adapters]
        return any(section is not None and section.warm_start for section in sections)

    def located(self, source: Source, secrets: Mapping[str, str]) -> Self:
        """Return the same configuration with its source and its secrets."""
        located = self.model_copy()
        located._source = source.text
        located._file = source.name
        located._directory = source.directory
        located._secrets = FrozenDict(secrets)
        return located

    def to_mapping(self) -> dict[str, Any]:
        """Return the complete configuration as plain data; loading it again gives an equal configuration.

        Strings are in the language's written form: `${NAME}` is a reference, a literal `${` is `$${`.
        """
        return to_mapping(self)

    def to_yaml(self) -> str:
        """Return the complete configuration as YAML text; loading it again gives an equal configuration."""
        return to_yaml(self.to_mapping())

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield from super().__repr_args__()
        yield "hash", self.hash
