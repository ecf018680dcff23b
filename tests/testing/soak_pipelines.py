"""Hand-made pipelines of the soak, each with a model of its routing: what must leave, computed without the engine.

Kept separate from the drawn configurations, of which nobody knows what must leave: their runs with faults are compared
with one without.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from factflow_engine.testing.simulation import Input, Lognormal, Outage, Record, StageChange, StageModel
from factflow_engine.testing.strategies import registry_of_examples
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext, StatefulAdapter

Left = Mapping[str, Counter[Any]]
"""Payloads that must leave, by queue."""


class Countdown(PipelineAdapter):
    """Takes one from `n`."""

    async def process(self, context: PipelineContext) -> AdapterResult:
        await trio.sleep(0.01)
        return AdapterResult(message={**context.message, "n": context.message["n"] - 1})


class Gather(StatefulAdapter):
    """Keeps the numbers of the messages, and emits all of them at the end."""

    keeps_state = True

    def __init__(self) -> None:
        self._seen: list[int] = []

    async def process(self, context: PipelineContext) -> None:
        self._seen.append(context.message["n"])

    async def finish(self) -> AdapterResult | None:
        seen, self._seen = self._seen, []
        return AdapterResult(message={"seen": seen}) if seen else None

    def snapshot(self) -> list[int]:
        return list(self._seen)

    def restore(self, state: Any) -> None:
        self._seen += state


REGISTRY = registry_of_examples()
REGISTRY.register("countdown", Countdown)
REGISTRY.register("gather", Gather)


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A pipeline with its inputs and what must leave.

    Attributes:
        text: Its configuration, without the version.
        route: Route of the inputs.
        left: Returns what must leave for these payloads, each message once.
        payload: Makes the payload of a number.
        models: Models of its stages.
        ordered: Recorded stage that has the messages of one key in the order in which they were published.
        has_states: True if its outputs are batches, of which together every number must be a member.
        rates: Rates of faults of its stages that it survives by retries.
    """

    text: str
    left: Callable[[Sequence[Any]], Left]
    route: str = "a"
    payload: Callable[[random.Random, int], Any] = lambda draw, n: {"n": n, "kind": draw.choice("xyz")}
    models: tuple[StageChange, ...] = ()
    ordered: str | None = None
    has_states: bool = False
    rates: Mapping[str, float] = field(default_factory=dict)

    def inputs(self, draw: random.Random) -> tuple[Input, ...]:
        """Draw a few inputs, at a few times; keys are of three."""
        at, inputs = 0.0, []
        for n in range(draw.randint(1, 9)):
            at += draw.choice((0, 0, 0, 0.1, 1, 20))
            key = draw.choice("ABC") if self.ordered else None
            inputs.append(Input(self.route, self.payload(draw, n), key, at=at))
        return tuple(inputs)


PATIENT = "error_handling: {max_retries: 1000, retry_delay_seconds: 0.5, max_delay_seconds: 5}"


def frozen(value: Any) -> Any:
    """Return a value that can be counted, equal for equal messages."""
    if isinstance(value, dict):
        return ("map", tuple(sorted((str(name), frozen(item)) for name, item in value.items())))
    if isinstance(value, list):
        return ("list", tuple(map(frozen, value)))
    return (type(value).__name__, repr(value))


def counted(payloads: Sequence[Any]) -> Counter[Any]:
    """Return how many there are of each payload."""
    return Counter(map(frozen, payloads))


def each_to(queue: str, change: Callable[[Any], Any] = lambda payload: payload) -> Callable[[Sequence[Any]], Left]:
    """Return the model of a pipeline that sends each message, changed, to one queue."""
    return lambda payloads: {queue: counted([change(payload) for payload in payloads])}


def _of_fan(payloads: Sequence[Any]) -> Left:
    copies = [{**payload, "copy": copy} for payload in payloads for copy in range(3)]
    return {
        "/queue/zero": counted([each for each in copies if each["copy"] == 0]),
        "/queue/x": counted([{**each, "id": 1} for each in copies if each["copy"] and each["kind"] == "x"]),
        "/queue/rest": counted([each for each in copies if each["copy"] and each["kind"] != "x"]),
    }


def _of_switch(payloads: Sequence[Any]) -> Left:
    return {
        "/queue/low": counted([each for each in payloads if each["n"] < 3]),
        "/queue/x": counted([each for each in payloads if each["n"] >= 3 and each["kind"] == "x"]),
        "/queue/dead": counted([each for each in payloads if each["n"] >= 3 and each["kind"] != "x"]),
    }


def _of_topic(payloads: Sequence[Any]) -> Left:
    return {
        "/queue/b": counted([{**each, "id": 1} for each in payloads]),
        "/queue/c": counted([each for each in payloads if each["kind"] in "yz"]),
    }


def _of_diamond(payloads: Sequence[Any]) -> Left:
    return {
        "/queue/end": counted(
            [{**each, "id": 2} for each in payloads] + [{**each, "id": 3} for each in payloads if each["kind"] == "x"]
        )
    }


PIPELINES: dict[str, Pipeline] = {
    "chain": Pipeline(
        text=f"""
routes:
  a: {{adapters: [{{type: forward}}, {{type: sleep, config: {{seconds: 0.1}}}}], outbound: [{{route: b}}]}}
  b: {{inbound: {{capacity: 2}}, adapters: [{{type: fail_first, config: {{times: 2}}}}], outbound: [{{queue: /queue/out, external: true}}]}}
{PATIENT}
""",
        left=each_to("/queue/out"),
        rates={"fail_stage": 0.2, "slow_stage": 0.1},
    ),
    "fan": Pipeline(
        text=f"""
routes:
  a:
    inbound: {{concurrency: 2, capacity: 3}}
    adapters: [{{type: fan_out, config: {{copies: 3}}}}]
    outbound:
      - {{queue: /queue/zero, external: true, condition: {{field: copy, operator: eq, value: 0}}}}
      - {{route: b, condition: {{not: {{field: copy, operator: eq, value: 0}}}}}}
  b:
    inbound: {{capacity: 1}}
    outbound: [{{route: c, condition: {{field: kind, operator: eq, value: x}}}}, {{queue: /queue/rest, external: true}}]
    outbound_mode: first
  c: {{adapters: [{{type: set_field, config: {{field: id, value: 1}}}}], outbound: [{{queue: /queue/x, external: true}}]}}
{PATIENT}
""",
        left=_of_fan,
        rates={"fail_stage": 0.2, "slow_stage": 0.1},
    ),
    "switch": Pipeline(
        text="""
routes:
  a:
    outbound_mode: first
    unrouted: dead_letter
    adapters: [{type: forward}]
    outbound:
      - {queue: /queue/low, external: true, condition: {field: n, operator: lt, value: 3}}
      - {queue: /queue/x, external: true, condition: {field: kind, operator: eq, value: x}}
error_handling: {max_retries: 1000, retry_delay_seconds: 0.5, dead_letter_queue: /queue/dead}
""",
        left=_of_switch,
        rates={"fail_stage": 0.2},
    ),
    "topic": Pipeline(
        text=f"""
routes:
  a: {{adapters: [{{type: forward}}], outbound: [{{queue: /topic/news}}]}}
  b: {{inbound: {{queue: /topic/news, subscription: b}}, adapters: [{{type: set_field, config: {{field: id, value: 1}}}}], outbound: [{{queue: /queue/b, external: true}}]}}
  c:
    inbound: {{queue: /topic/news, subscription: c, concurrency: 1}}
    adapters: [{{type: sleep, config: {{seconds: 0.3}}, condition: {{field: kind, operator: in, value: [x, y]}}}}]
    outbound: [{{queue: /queue/c, external: true, condition: {{field: kind, operator: in, value: [y, z]}}}}]
{PATIENT}
""",
        left=_of_topic,
        rates={"fail_stage": 0.2},
    ),
    "diamond": Pipeline(
        text=f"""
routes:
  a: {{outbound: [{{route: b}}, {{route: c, condition: {{field: kind, operator: eq, value: x}}}}]}}
  b: {{adapters: [{{type: set_field, config: {{field: id, value: 2}}}}], outbound: [{{route: d}}]}}
  c: {{adapters: [{{type: set_field, config: {{field: id, value: 3}}}}], outbound: [{{route: d}}]}}
  d: {{inbound: {{concurrency: 1, capacity: 1}}, adapters: [{{type: sleep, config: {{seconds: 0.1}}}}], outbound: [{{queue: /queue/end, external: true}}]}}
{PATIENT}
""",
        left=_of_diamond,
        rates={"slow_stage": 0.2, "fail_stage": 0.1},
    ),
    "breaker": Pipeline(
        text=f"""
routes:
  a:
    inbound: {{concurrency: 3}}
    adapters:
      - type: forward
        name: call
        circuit_breaker: {{failure_rate_threshold: 40, sliding_window_size: 4, minimum_calls: 2, wait_duration_seconds: 2}}
    outbound: [{{queue: /queue/out, external: true}}]
{PATIENT}
""",
        left=each_to("/queue/out"),
        models=(StageModel(stage="a/call", time=Lognormal(median=0.1), errors=0.4),),
        rates={"fail_stage": 0.1},
    ),
    "breaker of each key": Pipeline(
        text=f"""
routes:
  a:
    adapters:
      - type: forward
        name: call
        circuit_breaker: {{key: kind, failure_rate_threshold: 50, sliding_window_size: 3, minimum_calls: 2, wait_duration_seconds: 1}}
    outbound: [{{queue: /queue/out, external: true}}]
{PATIENT}
""",
        left=each_to("/queue/out"),
        models=(StageModel(stage="a/call", outages=(Outage(from_seconds=0, until_seconds=5),), errors=0.2),),
    ),
    "time limit": Pipeline(
        text=f"""
routes:
  a:
    inbound: {{concurrency: 2}}
    adapters: [{{type: forward, name: call, timeout_seconds: 1}}]
    outbound: [{{queue: /queue/out, external: true}}]
{PATIENT}
""",
        left=each_to("/queue/out"),
        models=(StageModel(stage="a/call", time=Lognormal(median=0.5, sigma=1)),),
        rates={"stick_stage": 0.2, "slow_stage": 0.2},
    ),
    "limits": Pipeline(
        text=f"""
routes:
  a: {{adapters: [{{type: forward, name: call}}], outbound: [{{route: b}}], backpressure: {{algorithm: adaptive, min_concurrency: 1, max_concurrency: 4}}}}
  b: {{adapters: [{{type: forward, name: call}}], outbound: [{{queue: /queue/out, external: true}}], backpressure: {{algorithm: aimd, min_concurrency: 1, max_concurrency: 2}}}}
{PATIENT}
""",
        left=each_to("/queue/out"),
        models=(
            StageModel(stage="a/call", time=Lognormal(median=0.5), errors=0.1),
            StageModel(stage="b/call", time=Lognormal(median=0.2), capacity=1),
        ),
        rates={"slow_stage": 0.1},
    ),
    "circle": Pipeline(
        text=f"""
routes:
  a:
    inbound: {{capacity: 2, concurrency: 2}}
    adapters: [{{type: countdown}}]
    outbound: [{{route: a, condition: {{field: n, operator: gt, value: 0}}}}, {{queue: /queue/out, external: true}}]
    outbound_mode: first
{PATIENT}
""",
        left=each_to("/queue/out", lambda payload: {**payload, "n": min(0, payload["n"] - 1)}),
        rates={"fail_stage": 0.1},
    ),
    "order of each key": Pipeline(
        text=f"""
routes:
  a:
    inbound: {{ordering: key, concurrency: 4}}
    adapters: [{{type: forward, name: call}}]
    outbound: [{{queue: /queue/out, external: true}}]
{PATIENT}
""",
        left=each_to("/queue/out"),
        models=(StageModel(stage="a/call", time=Lognormal(median=0.5, sigma=1), errors=0.2), Record("a/call")),
        ordered="a/call",
        rates={"fail_stage": 0.1, "slow_stage": 0.1},
    ),
    "stored": Pipeline(
        text=f"""
storage: {{url: "memory://"}}
routes:
  a: {{adapters: [{{type: set_field, config: {{field: id, value: 1}}, store: true}}, {{type: sleep, config: {{seconds: 0.1}}}}], outbound: [{{queue: /queue/out, external: true}}]}}
{PATIENT}
""",
        left=each_to("/queue/out", lambda payload: {**payload, "id": 1}),
        rates={"fail_stage": 0.2},
    ),
    "dead letters": Pipeline(
        text="""
routes:
  a: {adapters: [{type: fan_out, config: {copies: 2}}, {type: keep, config: {field: copy}}], outbound: [{route: b}]}
  b: {adapters: [{type: fail}], error_handling: {max_retries: 2, retry_delay_seconds: 0.2, dead_letter_queue: /queue/dead}}
error_handling: {max_retries: 1000, retry_delay_seconds: 0.5}
""",
        left=each_to("/queue/dead", lambda payload: {**payload, "copy": 1}),
        rates={"fail_stage": 0.2},
    ),
    "rejected": Pipeline(
        text="""
routes:
  a: {adapters: [{type: defer}, {type: reject, condition: {field: kind, operator: eq, value: x}}], outbound: [{queue: /queue/out, external: true}]}
error_handling: {max_retries: 1000, retry_delay_seconds: 0.5, dead_letter_queue: /queue/dead}
""",
        left=lambda payloads: {
            "/queue/dead": counted([each for each in payloads if each["kind"] == "x"]),
            "/queue/out": counted([each for each in payloads if each["kind"] != "x"]),
        },
        rates={"fail_stage": 0.2},
    ),
    "gathered": Pipeline(
        text=f"""
routes:
  a: {{adapters: [{{type: forward}}, {{type: gather}}], outbound: [{{queue: /queue/out, external: true}}]}}
{PATIENT}
""",
        left=each_to("/queue/out", lambda payload: payload["n"]),
        has_states=True,
        rates={"fail_stage": 0.2},
    ),
}
"""The pipelines by name."""
