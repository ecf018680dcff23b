"""The provider against the public checks, its URLs and names, and a pipeline on it: what an author of providers tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from factflow_loopback import LoopbackQueue
from trio.testing import MockClock

from factflow_engine import (
    ConfigurationError,
    OrchestratorManager,
    PipelineConfigLoader,
    QueueUrlError,
    ValidatingAdapterRegistry,
    open_queue,
)
from factflow_engine.testing import check_queue_provider
from factflow_protocols import QueueProtocol

TEXT = """\
version: "1.0"
init_message: {route: first, payload: {n: 1}}
routes:
  first: {adapters: [{type: log}], outbound: [{route: second}]}
  second: {adapters: [{type: log}]}
"""


@asynccontextmanager
async def opened() -> AsyncIterator[QueueProtocol]:
    queue = open_queue("loopback://")
    try:
        yield queue
    finally:
        await queue.stop()


def test_it_does_what_every_provider_must() -> None:
    report = check_queue_provider(lambda _: open_queue("loopback://"), virtual=True)
    report.raise_if_failed()
    assert len(report.passed) > 20


def test_its_url_is_its_scheme_alone() -> None:
    assert isinstance(open_queue("loopback://"), LoopbackQueue)
    with pytest.raises(QueueUrlError, match="write loopback://"):
        open_queue("loopback://somewhere")


def test_a_name_that_it_refuses_is_a_finding_with_its_line() -> None:
    registry = ValidatingAdapterRegistry()
    loader = PipelineConfigLoader(registry, validate_queue_name=LoopbackQueue().validate_name)
    with pytest.raises(ConfigurationError, match=r"has upper-case letters") as raised:
        loader.load_text('version: "1.0"\nroutes:\n  Loud: {adapters: [{type: log}]}\n', "loud.yaml")
    [finding] = raised.value.findings
    assert (finding.code, finding.file, finding.line, finding.remedy) == ("E204", "loud.yaml", 3, "write '/queue/loud'")


def test_a_pipeline_runs_on_it() -> None:
    async def run() -> dict[str, int]:
        registry = ValidatingAdapterRegistry()
        async with opened() as queue:
            config = PipelineConfigLoader(registry, validate_queue_name=queue.validate_name).load_text(TEXT)
            async with OrchestratorManager(registry=registry, queue=queue) as manager:
                report = await (await manager.start(config)).complete()
        return {route: statistics.completed for route, statistics in report.routes.items()}

    assert trio.run(run, clock=MockClock(autojump_threshold=0)) == {"first": 1, "second": 1}
