"""Our side of the comparisons: pipelines as users write them, through the public names only."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import trio

from bench.timing import Stopwatch
from factflow_engine import (
    AdapterResult,
    ExecutionReport,
    OrchestratorManager,
    Outcome,
    PipelineAdapter,
    PipelineConfigLoader,
    PipelineContext,
    PipelineGlobalConfig,
    ValidatingAdapterRegistry,
)

BATCH = 500
"""How many messages a publisher hands over at a time where it publishes in batches."""


class Pass(PipelineAdapter):
    """Looks at nothing, changes nothing."""

    async def process(self, context: PipelineContext) -> AdapterResult:
        return AdapterResult.forward()


class Rewrite(PipelineAdapter):
    """Reads the message and says a changed one."""

    async def process(self, context: PipelineContext) -> AdapterResult:
        message = context.message
        message["id"] += 1
        return AdapterResult(message=message)


class Suspend(PipelineAdapter):
    """Waits once, as one that talks to a socket does."""

    async def process(self, context: PipelineContext) -> AdapterResult:
        await trio.lowlevel.checkpoint()
        return AdapterResult.forward()


def linear(
    adapter: str, *, capacity: int, conditions: bool = True, routes: int = 3, prefetch: int | None = None
) -> str:
    """The text of a pipeline of routes in a row, one adapter each."""
    fetched = "" if prefetch is None else f", prefetch: {prefetch}"
    condition = ", condition: {field: kind, operator: eq, value: order}" if conditions else ""
    lines = ['version: "1.0"', "routes:"]
    for number in range(routes):
        lines += [
            f"  r{number}:",
            f"    inbound: {{capacity: {capacity}{fetched}}}",
            f"    adapters: [{{type: {adapter}{condition}}}]",
        ]
        if number + 1 < routes:
            lines.append(f"    outbound: [{{route: r{number + 1}}}]")
    return "\n".join(lines) + "\n"


def fan_out(kinds: Sequence[str], *, capacity: int) -> str:
    """The text of a pipeline whose first route chooses one of several by a field."""
    lines = [
        'version: "1.0"',
        "routes:",
        "  r0:",
        f"    inbound: {{capacity: {capacity}}}",
        "    adapters: [{type: pass}]",
        "    outbound:",
        *(f"      - {{route: {kind}, condition: {{field: kind, operator: eq, value: {kind}}}}}" for kind in kinds),
    ]
    for kind in kinds:
        lines += [f"  {kind}:", f"    inbound: {{capacity: {capacity}}}", "    adapters: [{type: pass}]"]
    return "\n".join(lines) + "\n"


def registry(**more: type[PipelineAdapter]) -> ValidatingAdapterRegistry:
    """The adapters above, and more."""
    known = ValidatingAdapterRegistry()
    adapters: dict[str, type[PipelineAdapter]] = {"pass": Pass, "rewrite": Rewrite, "suspend": Suspend, **more}
    for name, adapter in adapters.items():
        known.register(name, adapter)
    return known


def load(text: str, known: ValidatingAdapterRegistry) -> PipelineGlobalConfig:
    """Return the configuration of a text.

    Raises:
        RuntimeError: The loader warns that a limit or a setting has no effect: then it does not measure what it seems to.
    """
    loader = PipelineConfigLoader(known)
    idle = [str(each) for each in loader.check_text(text).findings if each.code.startswith("W5")]
    if idle:
        raise RuntimeError(f"the loader finds {idle}")
    return loader.load_text(text)


def all_ended(report: ExecutionReport, messages: int, *, hops: int) -> int:
    """Return how many hops were made, having checked that every message made all of them.

    Raises:
        RuntimeError: Some ended before, or in another way than completed.
    """
    ended = sum(route.outcomes[Outcome.COMPLETED] for route in report.routes.values())
    if ended != messages * hops:
        raise RuntimeError(f"{messages} messages over {hops} hops ended {ended} times: {report}")
    return ended


def carrying(
    text: str, payloads: Sequence[Mapping[str, Any]], *, hops: int, one_by_one: bool = False
) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: publish all payloads to `r0` and wait until the last has ended; cost of one hop.

    The publisher's share (encoding each payload, making its frame) is part of it.
    """
    known = registry()
    config = load(text, known)

    async def run() -> Mapping[str, float]:
        async with OrchestratorManager(registry=known) as manager:
            execution = await manager.start(config)
            with Stopwatch() as watch:
                if one_by_one:
                    for payload in payloads:
                        await execution.publish("r0", payload)
                else:
                    for start in range(0, len(payloads), BATCH):
                        await execution.publish_batch("r0", payloads[start : start + BATCH])
                report = await execution.complete()
            return watch.per(all_ended(report, len(payloads), hops=hops))

    return lambda: trio.run(run)


def publishing(payloads: Sequence[Mapping[str, Any]], *, how: str) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: publish to a route that is paused and has room for all; cost of one message.

    Args:
        payloads: What is published.
        how: `batch`, `nowait` or `await`.
    """
    known = registry()
    config = load(linear("pass", capacity=len(payloads), routes=1), known)

    async def run() -> Mapping[str, float]:
        async with OrchestratorManager(registry=known) as manager:
            execution = await manager.start(config)
            execution.pause()
            with Stopwatch() as watch:
                if how == "batch":
                    for start in range(0, len(payloads), BATCH):
                        await execution.publish_batch("r0", payloads[start : start + BATCH])
                elif how == "nowait":
                    for payload in payloads:
                        execution.publish_nowait("r0", payload)
                else:
                    for payload in payloads:
                        await execution.publish("r0", payload)
            waiting = execution.statistics().routes["r0"].waiting
            await execution.cancel()
            if waiting != len(payloads):
                raise RuntimeError(f"{len(payloads)} messages were published, {waiting} wait")
            return watch.per(len(payloads))

    return lambda: trio.run(run)
