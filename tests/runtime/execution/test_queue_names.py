"""The provider that an execution runs on is asked about every queue name of its configuration, whenever it is loaded."""

import pytest

from factflow_engine import (
    ConfigurationError,
    OrchestratorManager,
    PipelineConfigLoader,
    ValidatingAdapterRegistry,
)
from factflow_engine.queues.memory import MemoryQueue
from support.elsewhere import Connection

TEXT = """\
version: "1.0"
error_handling: {dead_letter_queue: /queue/fine.dead}
routes:
  fine:
    adapters: [{type: log}]
  b:
    inbound: {queue: /queue/loud}
    error_handling:
      dead_letter_queue: "${LETTERS}"
    adapters: [{type: log}]
    outbound:
      - queue: /topic/loud.out
      - {route: fine}
"""
HIDDEN = "'${LETTERS}' from the environment is not a queue name of this provider"
REFUSED = [
    (7, 22, "routes.b.inbound.queue", "'/queue/loud' is loud", "whisper"),
    (9, 26, "routes.b.error_handling.dead_letter_queue", HIDDEN, None),
    (12, 16, "routes.b.outbound[0].queue", "'/topic/loud.out' is loud", "whisper"),
]  # fmt: skip


def verdict(queue):
    return "is loud; whisper" if "loud" in queue else None


class Quiet(Connection):
    """A provider that refuses names."""

    def validate_name(self, queue):
        return verdict(queue)


def load(*, environ=None, **options):
    loader = PipelineConfigLoader(
        ValidatingAdapterRegistry(), environ={"LETTERS": "/queue/so.loud"} if environ is None else environ, **options
    )
    return loader.load_text(TEXT, "quiet.yaml")


def found(error):
    return [
        (each.line, each.column, each.path, each.message, each.remedy if each.remedy == "whisper" else None)
        for each in error.findings
        if each.code == "E204"
    ]


def test_the_loader_asks_about_every_name():
    with pytest.raises(ConfigurationError) as raised:
        load(validate_queue_name=verdict)
    assert found(raised.value) == REFUSED


async def test_a_start_asks_again_and_finds_the_same(autojump_clock):
    config = load()
    async with OrchestratorManager(registry=ValidatingAdapterRegistry(), queue=Quiet(MemoryQueue())) as manager:
        with pytest.raises(ConfigurationError) as raised:
            await manager.start(config)
        assert found(raised.value) == REFUSED
        assert {each.file for each in raised.value.findings} == {"quiet.yaml"}
        assert "so.loud" not in str(raised.value)
        assert not manager.executions


async def test_a_configuration_that_the_provider_takes_starts(autojump_clock):
    names = []

    class Curious(Connection):
        def validate_name(self, queue):
            names.append(queue)

    queue = Curious(MemoryQueue())
    async with OrchestratorManager(registry=ValidatingAdapterRegistry(), queue=queue) as manager:
        execution = await manager.start(load())
        await execution.complete()
    assert sorted(set(names)) == [
        "/queue/fine", "/queue/fine.dead", "/queue/loud", "/queue/so.loud", "/topic/loud.out",
    ]  # fmt: skip


async def test_what_was_loaded_for_another_provider_is_refused_by_the_memory_queue(autojump_clock):
    registry = ValidatingAdapterRegistry()
    loader = PipelineConfigLoader(registry, validate_queue_name=lambda name: None)
    config = loader.load_text('{version: "1.0", routes: {a: {adapters: [{type: log}], inbound: {queue: "no name"}}}}')
    async with OrchestratorManager(registry=registry) as manager:
        with pytest.raises(ConfigurationError, match=r"E204.*'no name' is not a queue name"):
            await manager.start(config)
