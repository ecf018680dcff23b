"""Whose store stages write to: the configuration's, the manager's, or an adapter's own view of it."""

import pytest
import trio

from factflow_engine.errors import ExecutionStartError, NoStorageError
from factflow_engine.frames import unpack
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.storages.memory import MemoryStorage
from factflow_protocols import (
    AdapterResult,
    StorageBackendAdapter,
    StorageError,
    StorageProtocol,
)
from support.internals import routes_of
from support.object_stores import FakeStore
from support.pipelines import Seen, assert_nothing_is_left, load, registry_of, run, running

# -- whose store -----------------------------------------------------------------------------------------------------


async def test_without_a_store_there_is_one_error_that_names_the_stages():
    class Own(StorageBackendAdapter):
        async def process(self, context):
            return AdapterResult.forward()

    registry = registry_of(own=Own)
    config = load(
        registry, "routes: {r: {adapters: [{type: forward, store: true}, {type: own}, {type: store_object}]}}"
    )
    async with OrchestratorManager(registry=registry) as manager:
        with pytest.raises(NoStorageError) as caught:
            await manager.start(config)
        assert not manager.executions
    assert caught.value.stages == (
        "r/forward: store",
        "r/own: adapter type 'own'",
        "r/store_object: adapter type 'store_object'",
    )
    assert "storage: {url: 'file:///DIRECTORY'}" in str(caught.value)


async def test_a_stage_that_stores_nothing_has_no_step():
    async with running("routes: {r: {adapters: [{type: forward}]}}", storage=FakeStore()) as execution:
        [route] = routes_of(execution)
        assert [stage.info.stage for stage in route.stages] == ["forward"]
        await execution.complete()


async def test_the_configurations_own_store_is_used_and_closed(monkeypatch):
    given, own = FakeStore(), FakeStore()
    monkeypatch.setattr(MemoryStorage, "from_url", classmethod(lambda cls, url, **_: own))
    text = "storage: {url: 'memory://'}\nroutes: {r: {adapters: [{type: forward, store: true}]}}"
    report = await run(text, publish=[("r", 1)], storage=given)
    assert_nothing_is_left(report)
    assert (len(given.objects), given.closed) == (0, 0)
    assert (len(own.objects), own.closed) == (1, 1)
    report = await run(text.split("\n", 1)[1], publish=[("r", 1)], storage=given)
    assert (len(given.objects), given.closed) == (1, 0), "its owner closes it"


async def test_a_store_that_cannot_be_used_fails_the_start_and_not_each_message(tmp_path):
    (tmp_path / "objects").write_text("a file")
    text = (
        f"storage: {{url: 'file://{tmp_path}/objects'}}\nroutes: {{r: {{adapters: [{{type: forward, store: true}}]}}}}"
    )
    registry = registry_of()
    async with OrchestratorManager(registry=registry) as manager:
        with pytest.raises(StorageError, match=r"the stages' object store cannot be used: .*expected a folder"):
            await manager.start(load(registry, text))
        assert not manager.executions
        with pytest.raises(StorageError, match=r"the stages' object store cannot be used: .*expected a folder"):
            await manager.start(load(registry, text), execution_id="again")


async def test_whatever_a_store_raises_at_the_start_is_one_error():
    class Foreign(FakeStore):
        async def list(self, prefix=""):
            await trio.lowlevel.checkpoint()
            raise RuntimeError("no route to host")
            yield ""

    registry, store = registry_of(), Foreign()
    config = load(registry, "routes: {r: {adapters: [{type: forward, store: true}]}}")
    async with OrchestratorManager(registry=registry, storage=store) as manager:
        with pytest.raises(StorageError, match="cannot be used: RuntimeError: no route to host"):
            await manager.start(config)


@pytest.mark.parametrize("fault", [OSError("cannot close"), None])
async def test_a_store_that_does_not_close_is_reported(monkeypatch, fault):
    class Stuck(FakeStore):
        async def close(self):
            if fault is not None:
                raise fault
            await trio.sleep_forever()

    monkeypatch.setattr(MemoryStorage, "from_url", classmethod(lambda cls, url, **_: Stuck()))
    text = """
storage: {url: 'memory://'}
orchestrator: {close_seconds: 0.05}
routes: {r: {adapters: [{type: forward, store: true}]}}
"""
    report = await run(text, publish=[("r", 1)])
    assert report.status == "completed"
    problem = "OSError: cannot close" if fault is not None else "did not close within 0.05 s"
    assert report.close_errors == (f"storage: {problem}",)


# -- adapters with a store of their own ------------------------------------------------------------------------------


async def test_an_adapter_has_the_store_of_its_execution():
    store = FakeStore()

    class Own(StorageBackendAdapter):
        async def process(self, context):
            assert isinstance(self.storage, StorageProtocol)
            await self.storage.write(f"own/{context.message_id}", context.payload, custom={"a": 1})
            return AdapterResult(message=[key async for key in self.storage.list()])

    seen = Seen()
    text = "routes: {r: {adapters: [{type: own}, {type: seen}]}}"
    async with running(text, adapters={"own": Own, "seen": seen.process}, storage=store) as execution:
        message_id = await execution.publish("r", 1)
        report = await execution.complete()
    assert_nothing_is_left(report)
    assert [*store.objects] == [f"executions/{execution.id}/own/{message_id}"]
    [(_, metadata)] = store.objects.values()
    assert metadata.custom["a"] == 1
    assert metadata.custom["provenance"]["stage"] == "own"
    assert [unpack(payload) for payload in seen.payloads.values()] == [[f"own/{message_id}"]]


async def test_an_adapter_that_refuses_its_store_fails_the_start():
    class Own(StorageBackendAdapter):
        def bind_storage(self, storage):
            raise ValueError("not this one")

        async def process(self, context):
            raise AssertionError

    registry = registry_of(own=Own)
    async with OrchestratorManager(registry=registry, storage=FakeStore()) as manager:
        with pytest.raises(ExecutionStartError, match="not this one"):
            await manager.start(load(registry, "routes: {r: {adapters: [{type: own}]}}"))


async def test_store_object_hands_on_where_the_message_lies():
    store, seen = FakeStore(), Seen()
    text = """
routes:
  r:
    adapters:
      - type: store_object
        config:
          content_field: page.html
          extension: .html
          result_field: page.stored
          drop_content: true
          metadata: {fields: [{name: url, required: true}]}
      - {type: seen}
"""
    async with running(text, adapters={"seen": seen.process}, storage=store) as execution:
        message_id = await execution.publish("r", {"url": "https://a", "page": {"html": "<p>ä", "size": 4}})
        report = await execution.complete()
    assert_nothing_is_left(report)
    [(key, (data, metadata))] = store.objects.items()
    assert key == f"executions/{execution.id}/r/store_object/{message_id}.html"
    assert data == "<p>ä".encode()
    assert (metadata.content_type, metadata.custom["url"]) == ("text/html; charset=utf-8", "https://a")
    [payload] = seen.payloads.values()
    stored = {
        "key": key,
        "size_bytes": 5,
        "checksum": metadata.checksum,
        "content_type": metadata.content_type,
        "metadata_key": key,
    }
    assert unpack(payload) == {"url": "https://a", "page": {"size": 4, "stored": stored}}


async def test_store_object_keeps_the_content_unless_told_otherwise():
    store, seen = FakeStore(), Seen()
    text = """
routes:
  r: {adapters: [{type: store_object, config: {content_field: html, result_field: stored}}, {type: seen}]}
  s: {adapters: [{type: store_object}, {type: seen}]}
"""
    report = await run(
        text, adapters={"seen": seen.process}, publish=[("r", {"html": "x"}), ("s", [1, 2])], storage=store
    )
    assert_nothing_is_left(report)
    whole, kept = sorted((unpack(payload) for payload in seen.payloads.values()), key=lambda message: "html" in message)
    assert kept["html"] == "x"
    assert kept["stored"]["size_bytes"] == 1
    assert whole["content_type"] == "application/vnd.msgpack"
    assert unpack(store.data()[whole["key"]]) == [1, 2]
