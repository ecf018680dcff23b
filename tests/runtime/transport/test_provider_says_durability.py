"""Whether messages outlive the process is what the provider says, whatever it is made of."""

import pytest

from factflow_engine import AdapterResult, ConfigurationError, OrchestratorManager, StatefulAdapter, StateLossError
from factflow_engine.app import build_app
from factflow_engine.queues.memory import MemoryQueue
from support.elsewhere import Connection

TEXT = """\
version: "1.0"
init_message: [{route: r, payload: {n: 1}}, {route: r, payload: {n: 2}}]
routes:
  r: {adapters: [{type: sums}], outbound: [{route: said}]}
  said: {adapters: [{type: log}]}
"""


class Sums(StatefulAdapter):
    """Keeps what does not outlive the process."""

    def __init__(self):
        self.total = 0

    async def process(self, context):
        self.total += context.message["n"]

    async def finish(self):
        return AdapterResult(message={"sum": self.total})


def provider(*, outlives):
    made = Connection(MemoryQueue())
    made.outlives_process = outlives
    return made


def registry_of(app):
    app.registry.register("sums", Sums)
    return app


async def run(queue):
    app = registry_of(build_app(queue=queue, allow_loss=True))
    config = app.loader.load_text(TEXT)
    async with OrchestratorManager(registry=app.registry, queue=queue) as manager:
        return await (await manager.start(config)).complete()


async def test_a_stage_that_loses_state_runs_where_messages_are_lost_as_well(autojump_clock):
    registry_of(build_app(queue=provider(outlives=False))).loader.load_text(TEXT)
    report = await run(provider(outlives=False))
    assert report.status == "completed"
    assert report.routes["said"].completed == 1


async def test_it_is_refused_where_they_are_not(autojump_clock):
    with pytest.raises(ConfigurationError, match="E306"):
        registry_of(build_app(queue=provider(outlives=True))).loader.load_text(TEXT)
    with pytest.raises(StateLossError, match="r/sums"):
        await run(provider(outlives=True))


def test_the_memory_queue_says_that_they_end_with_the_process():
    assert not MemoryQueue().outlives_process
    registry_of(build_app(queue=MemoryQueue())).loader.load_text(TEXT)
