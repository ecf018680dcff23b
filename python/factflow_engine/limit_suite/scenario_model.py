"""Models of a program's own scenario: its server, its load, its phases, and what may be written for them.

Kept separate from the reader, which turns a checked model into what is simulated.
"""

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from factflow_engine.config.models.base import ConfigModel, Sequence_
from factflow_engine.config.models.resilience import contradiction

MOST_CALLS: Final = 3_000_000
"""Most calls that a scenario may come to: some seconds of simulation an algorithm."""
MOST_SECONDS: Final = 3_600


class ServerModelConfig(ConfigModel):
    """The dependency, alone: how many calls it takes, and how long it needs for one."""

    model: Literal["workers", "knee", "usl", "refusing", "batch"] = Field(
        default="workers",
        description="workers: calls wait for one of `capacity` workers; knee: latency grows in proportion beyond `capacity` "
        "calls; usl: contention and coherence; refusing: refuses what is beyond `capacity`; batch: serves up to "
        "`capacity` calls each `tick_ms`.",
    )
    capacity: int = Field(default=1, ge=1, le=100_000, description="Calls at a time; without meaning for usl.")
    service_ms: float = Field(gt=0, le=3_600_000, description="Milliseconds that a call is served.")
    spread: float = Field(
        default=0, ge=0, le=3, description="Standard deviation of the service time's logarithm (workers)."
    )
    failing: float = Field(default=0, ge=0, le=1, description="Share of calls that fail, whatever the load (workers).")
    contention: float = Field(default=0, ge=0, le=1, description="What each further call adds to the latency (usl).")
    coherence: float = Field(default=0, ge=0, le=1, description="What each further pair of calls adds (usl).")
    tick_ms: float = Field(default=100, gt=0, le=3_600_000, description="Milliseconds between batches (batch).")

    @model_validator(mode="after")
    def _belongs_to_its_model(self) -> Self:
        only = {"spread": "workers", "failing": "workers", "contention": "usl", "coherence": "usl", "tick_ms": "batch"}
        for name, model in only.items():
            if name in self.model_fields_set and self.model != model:
                raise contradiction(f"{name} is of the model {model}, and this is {self.model}", name, "model")
        return self


class LoadConfig(ConfigModel):
    """Calls that arrive at random, instead of a backlog without end."""

    calls_per_second: float = Field(gt=0, le=1_000_000, description="Mean rate of each route.")
    until_seconds: float | None = Field(
        default=None, gt=0, le=MOST_SECONDS, description="When a backlog without end begins; None: never."
    )


class PhaseConfig(ConfigModel):
    """A part of the time, in which the server may be another one."""

    seconds: float = Field(gt=0, le=MOST_SECONDS, description="Its length.")
    capacity: int | None = Field(default=None, ge=1, le=100_000, description="The server's capacity in it (workers).")
    service_ms: float | None = Field(default=None, gt=0, le=3_600_000, description="Its service time in it (workers).")
    limit: int | None = Field(
        default=None, ge=1, le=100_000, description="The oracle's limit of a route; the best one alone by default."
    )


class ScenarioConfig(ConfigModel):
    """A scenario: what calls are made to what, and what is wanted of them."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$", description="Name in tables.")
    target_ms: float = Field(gt=0, le=3_600_000, description="Milliseconds that a call should take at most.")
    timeout_ms: float | None = Field(
        default=None, gt=0, le=3_600_000, description="Milliseconds after which a caller gives up; None: never."
    )
    seed: int = Field(default=1, ge=0, le=2**53, description="Seed of everything that is drawn.")
    server: ServerModelConfig
    load: LoadConfig | None = Field(default=None, description="Arrivals; None for a backlog without end.")
    phases: Sequence_[PhaseConfig] = Field(min_length=1, max_length=1_000, description="The time, part by part.")
    joins_seconds: Sequence_[float] = Field(
        default=(0.0,), min_length=1, max_length=16, description="When routes join, each with a limit of its own."
    )

    @property
    def seconds(self) -> float:
        """Length of all phases."""
        return sum(phase.seconds for phase in self.phases)

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if self.seconds > MOST_SECONDS:
            raise contradiction(f"expected {MOST_SECONDS:,} seconds at most in all, got {self.seconds:,g}", "phases")
        server = self.server
        calls = 0.0
        for phase in self.phases:
            at_a_time = phase.capacity or server.capacity
            gap_ms = {"batch": server.tick_ms, "usl": server.service_ms * max(server.contention, 1e-3)}.get(
                server.model, phase.service_ms or server.service_ms
            )
            calls += phase.seconds * 1e3 * (1 if server.model == "usl" else at_a_time) / gap_ms
        if calls > MOST_CALLS:
            raise contradiction(
                f"expected {MOST_CALLS:,} calls at most, got about {calls:,.0f}; write less capacity, longer service or "
                "shorter phases",
                "phases",
                "server",
            )
        return self

    @model_validator(mode="after")
    def _phases_suit_the_server(self) -> Self:
        changes = any(phase.capacity is not None or phase.service_ms is not None for phase in self.phases)
        if changes and (self.server.model != "workers" or self.server.spread):
            raise contradiction(
                "only the model workers, without a spread, has another capacity or service time in a phase",
                "phases",
                "server",
            )
        late = [at for at in self.joins_seconds if not 0 <= at < self.seconds]
        if late or self.joins_seconds[0] != 0:
            raise contradiction(
                f"expected times from 0 below {self.seconds:g} seconds, the first of them 0, got "
                f"{', '.join(f'{at:g}' for at in self.joins_seconds)}",
                "joins_seconds",
            )
        return self
