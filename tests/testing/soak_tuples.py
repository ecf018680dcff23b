"""Tuples of the soak: number -> configuration, inputs, faults, queue, processes and seed of the schedule.

Kept separate from what judges the runs, because a failing tuple is made again from its number alone.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.config import PipelineConfigLoader, PipelineGlobalConfig
from factflow_engine.testing.simulation.faults import Fault, FaultRates
from factflow_engine.testing.simulation.inputs import Input
from factflow_engine.testing.simulation.models import StageChange
from factflow_engine.testing.simulation.settings import RunSettings
from factflow_engine.testing.strategies import configs, fault_plans, messages, registry_of_examples
from testing.soak_pipelines import PIPELINES, REGISTRY, Pipeline

RUNS_OF_INPUTS = 8
"""Tuples in a row that have the same configuration and inputs, and other faults and schedules."""

DRAWN_SEED = 20_261_130
"""Seed of the drawn configurations."""

PLAIN_TYPES = ("forward", "set_field", "keep", "fan_out")
PLAIN_FEATURES = ("conditions", "queues", "outbounds", "inbound", "texts", "lineage")
"""Types and features that make of a message the same, whatever happens on its way."""

QUEUE_KINDS = ("duplicate", "delay", "reorder", "drop_delivery", "lose_lease", "fail_queue")


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A configuration with all that is drawn for it.

    Attributes:
        name: Its name, for people.
        config: The configuration.
        registry: Its adapters.
        pipeline: Its model, if it is hand-made.
        is_plain: True if faults change nothing of what leaves: a drawn one of plain types and features.
    """

    name: str
    config: PipelineGlobalConfig
    registry: ValidatingAdapterRegistry
    pipeline: Pipeline | None = None
    is_plain: bool = False


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One tuple.

    Attributes:
        number: Its number, of which it is a function.
        subject: Its configuration.
        settings: The rest.
        keeps_order: True if nothing of its faults changes the order in which messages of a key are handled.
    """

    number: int
    subject: Subject
    settings: RunSettings
    keeps_order: bool


def drawn_by(strategy: Any, count: int, seed_of_draw: int) -> list[Any]:
    """Return so many values of a strategy, the same for the same seed."""
    found: list[Any] = []

    @seed(seed_of_draw)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def draw(value: Any) -> None:
        found.append(value)

    draw()
    return found


@cache
def subjects(count: int) -> Sequence[Subject]:
    """Return hand-made configurations, and `count` drawn ones: half of any kind, a quarter plain, a quarter with circles."""
    hand = PipelineConfigLoader(REGISTRY, environ={})
    found = [
        Subject(
            name=name,
            config=hand.check_text('version: "1.0"' + pipeline.text).config,
            registry=REGISTRY,
            pipeline=pipeline,
        )  # type: ignore[arg-type]
        for name, pipeline in PIPELINES.items()
    ]
    registry = registry_of_examples()
    loader = PipelineConfigLoader(registry, environ={})
    kinds = (
        ("any", configs(), count // 2),
        ("plain", configs(types=PLAIN_TYPES, features=PLAIN_FEATURES), count // 4),
        ("circles", configs(cycles=True), count // 4),
    )
    for kind, strategy, number in kinds:
        for place, text in enumerate(dict.fromkeys(drawn_by(strategy, number, DRAWN_SEED))):
            config = loader.check_text(text).config
            assert config is not None, text
            found.append(
                Subject(
                    name=f"{kind} {place}",
                    config=config,
                    registry=registry,
                    is_plain=kind == "plain" and not _shares(config),
                )
            )
    return found


def _shares(config: PipelineGlobalConfig) -> bool:
    """True if routes share the messages of a queue, so that a message may go to either."""
    inbounds = [route.inbound for route in config.routes.values()]
    shared = [(each.queue, each.subscription if each.queue.startswith("/topic/") else "") for each in inbounds]
    return len(set(shared)) < len(shared)


@cache
def _payloads() -> Sequence[Any]:
    return drawn_by(messages(), 150, DRAWN_SEED)


def inputs_for(subject: Subject, draw: random.Random) -> tuple[Input, ...]:
    """Draw a few inputs for any configuration."""
    if subject.pipeline is not None:
        return subject.pipeline.inputs(draw)
    routes, at, found = list(subject.config.routes), 0.0, []
    for _ in range(draw.randint(0, 6)):
        at += draw.choice((0, 0, 0, 0.1, 3, 60))
        found.append(Input(draw.choice(routes), draw.choice(_payloads()), draw.choice((None, "a", "b")), at=at))
    return tuple(found)


def drawn(number: int, *, configurations: int) -> Drawn:
    """Return the tuple of a number; `configurations` is the number of drawn configurations."""
    of_inputs, _ = divmod(number, RUNS_OF_INPUTS)
    draw = random.Random(f"inputs {of_inputs}")
    of = subjects(configurations)
    hand = len(PIPELINES)
    subject = of[draw.randrange(hand)] if draw.random() < 0.5 else of[draw.randrange(hand, len(of))]
    inputs = inputs_for(subject, draw)
    draw = random.Random(f"faults {number}")
    queue = draw.choice(("memory://", "broker://", "broker://", "broker://"))
    processes = draw.choice((1, 1, 2, 3)) if queue == "broker://" else 1
    faults, keeps_order = faults_for(subject, draw, queue, processes, configurations)
    models: tuple[StageChange, ...] = () if subject.pipeline is None else subject.pipeline.models
    return Drawn(
        number=number,
        subject=subject,
        settings=RunSettings(
            config=subject.config,
            registry=subject.registry,
            inputs=inputs,
            seed=number,
            faults=faults,
            models=models,
            queue=queue,
            processes=processes,
        ),
        keeps_order=keeps_order and processes == 1,
    )


def faults_for(
    subject: Subject, draw: random.Random, queue: str, processes: int, configurations: int
) -> tuple[tuple[Fault, ...], bool]:
    """Draw faults, and say whether they keep the order of each key."""
    rates: dict[str, float] = {}
    if subject.pipeline is not None and draw.random() < 0.7:
        rates.update(subject.pipeline.rates)
    elif subject.pipeline is None and draw.random() < 0.5:
        rates["slow_stage"] = 0.2
        if not subject.is_plain:
            rates["fail_stage"] = draw.choice((0.05, 0.3))
    keeps_order = True
    if queue == "broker://":
        kind = draw.choice(("calm", "queue", "deaths", "deaths", "both", "plan"))
        if kind in {"queue", "both"}:
            keeps_order = False
            chosen = draw.sample(QUEUE_KINDS, draw.randint(1, len(QUEUE_KINDS)))
            rates |= {name: draw.choice((0.02, 0.1, 0.3)) * (0.2 if name == "fail_queue" else 1) for name in chosen}
        if kind in {"deaths", "both"}:
            rates["crash_seconds"] = draw.choice((0, 2, 5, 15))
            rates["cancel_seconds"] = draw.choice((0, 2, 5, 15))
        if kind == "plan":
            return draw.choice(_plans(subject.name, processes, configurations)), False
    elif draw.random() < 0.1 and subject.pipeline is None:
        rates["cancel_seconds"] = draw.choice((2, 10))
    return ((FaultRates(until=draw.choice((3, 8, 20)), **rates),) if rates else ()), keeps_order


@cache
def _plans(place: str, processes: int, configurations: int) -> Sequence[tuple[Fault, ...]]:
    """Return plans for a configuration: ends of processes after any step, and faults of its queues."""
    subject = next(each for each in subjects(configurations) if each.name == place)
    kinds = [*QUEUE_KINDS, "crash", "crash", "cancel_execution", "slow_stage"]
    return drawn_by(fault_plans(subject.config, processes=processes, kinds=kinds, most=4), 16, DRAWN_SEED)
