"""Model of one route: its inbound queue, its stages, its outbounds.

Kept separate from the document because a route can be checked by itself.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, Self

from pydantic import ConfigDict, Field, PrivateAttr, RootModel, model_validator

from factflow_engine.config.frozen import FrozenDict
from factflow_engine.config.models.base import ConfigModel, Path, Sequence_, substitute
from factflow_engine.config.models.resilience import (
    BackpressureConfig,
    CircuitBreakerConfig,
    ErrorHandlingConfig,
    contradiction,
)
from factflow_engine.config.models.storage import StoreConfig

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""Pattern of names of routes and stages: they become part of queue names, storage keys and metric labels."""

MAX_PREFETCH: Final = 1_000_000


class ConditionConfig(RootModel[FrozenDict[str, Any]]):
    """A condition as written; `factflow_engine.conditions` defines and checks it."""

    model_config = ConfigDict(frozen=True, strict=True, defer_build=True)

    _references: Mapping[Path, str] = PrivateAttr(default_factory=FrozenDict)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(self.root)

    @property
    def mapping(self) -> Mapping[str, Any]:
        """Return the mapping that `compile_condition` takes."""
        return self.root

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield None, substitute(self.root, self._references)


class AdapterConfig(ConfigModel):
    """One stage of a route."""

    type: str = Field(description="Registered name of the adapter.")
    name: str = Field(
        pattern=NAME_PATTERN, description="Name of the stage, unique in its route; by default the adapter's type."
    )
    config: FrozenDict[str, Any] = Field(
        default_factory=FrozenDict, description="The adapter's own configuration, checked by the adapter's model."
    )
    condition: ConditionConfig | None = Field(
        default=None, description="Condition; the stage is skipped for messages that do not satisfy it."
    )
    timeout_seconds: float | None = Field(
        default=None, gt=0, le=86_400, description="Longest call, in seconds; a longer one fails."
    )
    isolation: Literal["thread", "process"] | None = Field(
        default=None,
        description="Place where a plain `def process` runs. process: in worker processes, for CPU-bound Python; needs an "
        "adapter without state in a module that can be imported. By default the adapter's runs_in, else a thread.",
    )
    processes: int | None = Field(
        default=None,
        ge=1,
        le=1_024,
        description="Most worker processes of the stage; started on demand, the first with the execution. "
        "By default the number of processors.",
    )
    max_messages_per_process: int | None = Field(
        default=None, ge=1, description="Messages after which a worker process is replaced; by default never."
    )
    backpressure: BackpressureConfig | None = Field(
        default=None,
        description="Limit of the stage's own calls, besides the route's; nothing is inherited. none: no limit of its own.",
    )
    circuit_breaker: CircuitBreakerConfig | None = Field(
        default=None, description="The stage's breaker; omitted fields are inherited from the route; null: none."
    )
    store: StoreConfig | None = Field(
        default=None,
        description="What the stage stores; true: its output, as msgpack. Stored before the message goes on, and so before "
        "it is acknowledged.",
    )


class InboundConfig(ConfigModel):
    """Queue that a route reads, and its limits."""

    queue: str = Field(description="Queue or topic to read; by default /queue/ and the route's id.")
    subscription: str = Field(
        min_length=1,
        description="Name of the subscription: its consumers share the messages, and on a topic each subscription gets all. Default: the route's id.",
    )
    concurrency: int = Field(
        default=8,
        ge=1,
        le=100_000,
        description="Messages in flight; with backpressure, the limit's upper bound, by default its max_concurrency.",
    )
    prefetch: int = Field(
        default=32,
        ge=1,
        le=MAX_PREFETCH,
        description="Most messages taken from the queue and not yet settled; by default four times concurrency. An adaptive "
        "limit takes fewer: at most four times what it permits at the time, 32 at least.",
    )
    capacity: int = Field(
        default=1_000, ge=1, le=100_000_000, description="Messages that wait in the queue before publishers wait."
    )
    ordering: Literal["none", "key"] = Field(
        default="none",
        description="key: of messages with one key the next begins when the one before has ended, with its retries and "
        "emitted messages; other keys, and messages without one, proceed meanwhile, as far as capacity (of a durable queue "
        "prefetch) has room for them beside the waiting ones. Messages that one emits go through this route's later stages in "
        "parallel; a following route of this ordering keeps the order in which the last stage emitted. none: a key has "
        "no effect on order.",
    )


class OutboundConfig(ConfigModel):
    """Target of messages that have passed all stages; exactly one of `route` and `queue`."""

    route: str | None = Field(default=None, description="Id of the route whose inbound queue gets the message.")
    queue: str | None = Field(default=None, description="Queue or topic that gets the message.")
    external: bool = Field(
        default=False,
        description="The queue is read outside the pipeline, as by the program that subscribes to it: no W202.",
    )
    condition: ConditionConfig | None = Field(default=None, description="Condition on the messages; none: all.")

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.route is None) is (self.queue is None):
            got = "both" if self.route is not None else "neither"
            raise contradiction(f"expected exactly one of route and queue, got {got}", "queue", "route")
        if self.external and self.queue is None:
            raise contradiction(
                "external: true is about who reads a queue, and this outbound names a route", "external"
            )
        return self


class RouteConfig(ConfigModel):
    """One path in a pipeline: an inbound queue, ordered stages, outbounds."""

    name: str = Field(min_length=1, description="For people; by default the route's id.")
    description: str = Field(default="", description="For people.")
    inbound: InboundConfig = Field(description="Queue that the route reads.")
    adapters: Sequence_[AdapterConfig] = Field(default=(), description="The stages, in order.")
    outbound: Sequence_[OutboundConfig] = Field(
        default=(), description="Targets of messages; none: the route is a sink."
    )
    outbound_mode: Literal["all", "first"] = Field(
        default="all", description="all: every outbound whose condition holds gets the message; first: only the first."
    )
    unrouted: Literal["filter", "dead_letter", "fail"] = Field(
        default="filter", description="Treatment of a message for which no outbound's condition holds."
    )
    error_handling: ErrorHandlingConfig = Field(
        default_factory=ErrorHandlingConfig, description="Omitted fields are inherited from the document."
    )
    backpressure: BackpressureConfig | None = Field(
        default=None, description="Omitted fields are inherited from the document; none: inbound.concurrency, fixed."
    )
    circuit_breaker: CircuitBreakerConfig | None = Field(
        default=None,
        description="Breaker of every stage; omitted fields are inherited from the document; none: no breakers.",
    )
