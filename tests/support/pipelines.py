"""Small pipelines for tests: configurations from text, runs under a time limit; adapters from functions."""

from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.config import PipelineConfigLoader, PipelineGlobalConfig
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.runtime.report import ExecutionReport, RouteStatistics
from factflow_engine.testing.registries import adapter_of as adapter
from factflow_engine.testing.registries import validating_registry
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext


async def forward(context: PipelineContext) -> AdapterResult:
    return AdapterResult.forward()


def registry_of(**adapters: Any) -> ValidatingAdapterRegistry:
    """A registry with `forward` and these: adapter classes, or functions to make them of."""
    return validating_registry(**{"forward": forward, **adapters})


def load(registry: ValidatingAdapterRegistry, text: str) -> PipelineGlobalConfig:
    return PipelineConfigLoader(registry).load_text('version: "1.0"\n' + text)


@asynccontextmanager
async def running(text: str, *, adapters: Mapping[str, Any] = {}, seconds: float = 30, **manager_options: Any):
    """A started execution of this configuration, under a time limit."""
    registry = registry_of(**adapters)
    config = load(registry, text)
    with trio.fail_after(seconds):
        async with OrchestratorManager(registry=registry, **manager_options) as manager:
            yield await manager.start(config)


async def run(text: str, *, adapters: Mapping[str, Any] = {}, publish: Any = (), **options: Any) -> ExecutionReport:
    """Start, publish `(route, payload)` pairs, wait, and return the report."""
    async with running(text, adapters=adapters, **options) as execution:
        for route, payload in publish:
            await execution.publish(route, payload)
        return await execution.complete()


def publish_together(execution: Any, **payloads: Any) -> None:
    """Publish to routes, by id, while all of them are paused: a worker finds everything at once."""
    execution.pause()
    for route, given in payloads.items():
        for payload in given:
            execution.publish_nowait(route, payload)
    execution.resume()


def assert_nothing_is_left(report: ExecutionReport) -> None:
    """It completed, its counters balance, and no message is anywhere or has failed."""
    assert report.status == "completed"
    assert_counters_balance(report)
    for route in report.routes.values():
        assert route.waiting == route.in_flight == route.retrying == route.failed == 0


def assert_counters_balance(report_or_statistics: Any) -> None:
    """The conservation law, for every route."""
    for route in report_or_statistics.routes.values():
        assert isinstance(route, RouteStatistics)
        ended = route.completed + route.filtered + route.dead_lettered + route.failed
        assert route.received == ended + route.retrying + route.in_flight
        assert min(route.received, route.completed, route.filtered, route.failed, route.in_flight, route.waiting) >= 0


class Recorder:
    """An adapter's memory: what messages reached it, in order, and how many at a time."""

    def __init__(self, *, seconds: float = 0.0, result: Any = None) -> None:
        self.seen: list[Any] = []
        self.now = 0
        self.most = 0
        self._seconds = seconds
        self._result = result

    async def process(self, context: PipelineContext) -> AdapterResult | None:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            if self._seconds:
                await trio.sleep(self._seconds)
            self.seen.append(context.message)
            return AdapterResult.forward() if self._result is None else self._result(context)
        finally:
            self.now -= 1

    def adapter(self) -> type[PipelineAdapter]:
        """A class for the registry; all its instances share this memory."""

        async def call(context: PipelineContext) -> AdapterResult | None:
            return await self.process(context)

        return adapter(call)


class Seen:
    """The ids and payloads that reached a stage."""

    def __init__(self) -> None:
        self.payloads: dict[str, bytes] = {}

    async def process(self, context: PipelineContext) -> AdapterResult:
        self.payloads[context.message_id] = context.payload
        return AdapterResult.forward()
