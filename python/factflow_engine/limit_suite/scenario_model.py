"""Models of a program's own scenario: its server, its load, its phases, and what may be written for them.

Kept separate from the reader, which turns a checked model into what is simulated.
"""

from collections.abc import Mapping
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from factflow_engine.config.models.base import ConfigModel, Sequence_
from factflow_engine.config.models.resilience import contradiction

MOST_CALLS: Final = 3_000_000
"""Most calls that a scenario may come to: some seconds of simulation an algorithm."""
MOST_SECONDS: Final = 3_600


_MODELS_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "spread": ("workers", "sharing"),
    "sizes": ("workers",),
    "warm_up": ("workers",),
    "failing": ("workers",),
    "contention": ("usl",),
    "coherence": ("usl",),
    "tick_ms": ("batch",),
    "break_seconds": ("breaking",),
    "broken": ("breaking",),
}


class SizeConfig(ConfigModel):
    """Calls of another size than the usual one."""

    share: float = Field(gt=0, le=1, description="Share of all calls.")
    service_ms: float = Field(gt=0, le=3_600_000, description="Milliseconds that such a call is served.")


class WarmUpConfig(ConfigModel):
    """A cold start: calls take longer at first, exponentially less so."""

    extra_ms: float = Field(gt=0, le=3_600_000, description="Milliseconds that a call takes longer at time 0.")
    seconds: float = Field(gt=0, le=MOST_SECONDS, description="Seconds after which a third of that is left (1 / e).")


class ServerModelConfig(ConfigModel):
    """The dependency, alone: how many calls it takes, and how long it needs for one."""

    model: Literal["workers", "knee", "usl", "refusing", "batch", "sharing", "breaking"] = Field(
        default="workers",
        description="workers: calls wait for one of `capacity` workers; knee: latency grows in proportion beyond `capacity` "
        "calls; usl: contention and coherence; refusing: refuses what is beyond `capacity`; batch: serves up to "
        "`capacity` calls each `tick_ms`; sharing: a link that calls share fairly, up to `capacity` of them as fast as "
        "alone; breaking: workers behind connections, some of which break each `break_seconds`.",
    )
    capacity: int = Field(default=1, ge=1, le=100_000, description="Calls at a time; without meaning for usl.")
    service_ms: float = Field(gt=0, le=3_600_000, description="Milliseconds that a call is served.")
    spread: float = Field(
        default=0,
        ge=0,
        le=3,
        description="Standard deviation of the service time's logarithm (workers); or largest difference of a call's size "
        "from the mean, as a part of it, below 1 (sharing).",
    )
    sizes: Sequence_[SizeConfig] = Field(
        default=(), max_length=100, description="Calls that take another time than `service_ms` (workers)."
    )
    warm_up: WarmUpConfig | None = Field(default=None, description="A cold start, at time 0 (workers).")
    failing: float = Field(default=0, ge=0, le=1, description="Share of calls that fail, whatever the load (workers).")
    contention: float = Field(default=0, ge=0, le=1, description="What each further call adds to the latency (usl).")
    coherence: float = Field(default=0, ge=0, le=1, description="What each further pair of calls adds (usl).")
    tick_ms: float = Field(default=100, gt=0, le=3_600_000, description="Milliseconds between batches (batch).")
    break_seconds: float = Field(
        default=4, ge=0.01, le=MOST_SECONDS, description="Seconds between breaks of connections (breaking)."
    )
    broken: float = Field(
        default=0.5, gt=0, le=1, description="Share of the calls there that fail at once at each break (breaking)."
    )

    @model_validator(mode="after")
    def _belongs_to_its_model(self) -> Self:
        for name, models in _MODELS_OF.items():
            if name in self.model_fields_set and self.model not in models:
                raise contradiction(
                    f"{name} is of the model {' or '.join(models)}, and this is {self.model}", name, "model"
                )
        if self.model == "sharing" and self.spread >= 1:
            raise contradiction(
                f"expected a spread below 1 for the model sharing, got {self.spread:g}", "spread", "model"
            )
        return self

    @model_validator(mode="after")
    def _has_one_distribution(self) -> Self:
        given = [name for name in ("spread", "sizes", "warm_up") if getattr(self, name)]
        if len(given) > 1:
            raise contradiction(f"a service has one of {' and '.join(given)}", *given[1::-1])
        others = sum(size.share for size in self.sizes)
        if others > 1 + 1e-9:
            raise contradiction(f"expected shares of sizes that add up to 1 at most, got {others:g}", "sizes")
        return self

    @property
    def mean_ms(self) -> float:
        """Mean time of a call that does not wait, once the server is warm."""
        others = sum(size.share for size in self.sizes)
        return (1 - others) * self.service_ms + sum(size.share * size.service_ms for size in self.sizes)


class LoadConfig(ConfigModel):
    """Calls that arrive at random, instead of a backlog without end."""

    calls_per_second: float = Field(gt=0, le=1_000_000, description="Mean rate of each route.")
    from_seconds: float = Field(
        default=0, ge=0, le=MOST_SECONDS, description="When they begin to arrive, after a backlog without end."
    )
    until_seconds: float | None = Field(
        default=None, gt=0, le=MOST_SECONDS, description="When a backlog without end begins; None: never."
    )
    retries: int = Field(
        default=0, ge=0, le=100, description="Most times that a call which fails is made again, at once."
    )

    @model_validator(mode="after")
    def _is_one_kind(self) -> Self:
        until = self.until_seconds
        if until is not None and until <= self.from_seconds:
            raise contradiction(
                f"until_seconds ({until:g}) is not after from_seconds ({self.from_seconds:g})",
                "until_seconds",
                "from_seconds",
            )
        backlog = "until_seconds" if until is not None else "from_seconds"
        if self.retries and (until is not None or self.from_seconds):
            raise contradiction(f"a load with retries has no backlog: it has no {backlog}", "retries", backlog)
        return self


class PhaseConfig(ConfigModel):
    """A part of the time, in which the server may be another one."""

    seconds: float = Field(gt=0, le=MOST_SECONDS, description="Its length.")
    capacity: int | None = Field(default=None, ge=1, le=100_000, description="The server's capacity in it (workers).")
    service_ms: float | None = Field(default=None, gt=0, le=3_600_000, description="Its service time in it (workers).")
    outage: bool = Field(
        default=False, description="True: what is there or arrives is lost, and no call is served (workers)."
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="The oracle's limit of a route; by default the best one alone, in an outage 1.",
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
    leaves_seconds: Sequence_[float] = Field(
        default=(),
        max_length=16,
        description="When they leave, in the same order; those without a time stay. Their calls in flight go on.",
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
                server.model, phase.service_ms or server.mean_ms
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
        server = self.server
        changes = any(phase.capacity is not None for phase in self.phases)
        slower = any(phase.service_ms is not None for phase in self.phases)
        if (changes and server.model != "workers") or (
            slower and (server.model != "workers" or server.spread or server.sizes or server.warm_up)
        ):
            raise contradiction(
                "only the model workers has another capacity in a phase, or another service time, if that has no spread, "
                "sizes or warm_up",
                "phases",
                "server",
            )
        out = [place for place, phase in enumerate(self.phases) if phase.outage]
        if out and (server.model != "workers" or self.timeout_ms is None):
            raise contradiction(
                "only the model workers has an outage, and callers give up by timeout_ms: lost calls never end otherwise",
                "phases",
                "server" if server.model != "workers" else "timeout_ms",
            )
        if out and out != list(range(out[0], out[-1] + 1)):
            raise contradiction("expected one outage: phases with one follow each other", "phases")
        late = [at for at in self.joins_seconds if not 0 <= at < self.seconds]
        if late or self.joins_seconds[0] != 0:
            raise contradiction(
                f"expected times from 0 below {self.seconds:g} seconds, the first of them 0, got "
                f"{', '.join(f'{at:g}' for at in self.joins_seconds)}",
                "joins_seconds",
            )
        leaves = self.leaves_seconds
        if len(leaves) > len(self.joins_seconds) or any(
            left <= joined for joined, left in zip(self.joins_seconds, leaves, strict=False)
        ):
            raise contradiction(
                f"expected a time after that of joining for each route that leaves, got "
                f"{', '.join(f'{at:g}' for at in leaves)}",
                "leaves_seconds",
                "joins_seconds",
            )
        return self
