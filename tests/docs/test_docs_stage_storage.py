"""The page on objects: its examples run, and its table and lists say what the engine does."""

import subprocess
import sys

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.config import PipelineConfigLoader
from factflow_engine.frames import unpack
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.stages.content import MAX_ENVELOPE_BYTES
from factflow_engine.stages.keys import parse_key
from factflow_engine.storages.memory import MemoryStorage
from support.doc_pages import DOCS, blocks, files, text

PAGE = DOCS / "stage-storage.md"


async def test_the_pipeline_stores_what_the_page_says(monkeypatch, capfd):
    store = MemoryStorage()
    monkeypatch.setattr(MemoryStorage, "from_url", classmethod(lambda _cls, _url, **_: store))
    registry = ValidatingAdapterRegistry()
    config = PipelineConfigLoader(registry).load_text(files(PAGE)["store.yaml"])
    async with OrchestratorManager(registry=registry) as manager:
        report = await (await manager.start(config)).complete()
    assert report.failures == ()
    found = {}
    async for key in store.list():
        parts = parse_key(key)
        assert parts is not None
        found.setdefault((parts.stage, parts.extension), []).append(await store.read(key))
    assert {place: len(objects) for place, objects in found.items()} == {
        ("split", "msgpack"): 2,
        ("content", "html"): 2,
        ("archive", "html"): 2,
    }
    assert sorted(data for data, _ in found["content", "html"]) == [b"<p>a</p>", b"<p>b</p>"]
    languages = {unpack(data)["url"]: metadata.custom["language"] for data, metadata in found["split", "msgpack"]}
    assert languages == {"https://example.org/a": "de", "https://example.org/b": "en"}
    for objects in found.values():
        for _, metadata in objects:
            for name in metadata.custom["provenance"]:
                assert f"`{name}`" in text(PAGE), name
    assert f"{MAX_ENVELOPE_BYTES:,} bytes" in text(PAGE)
    assert '"stored"' in capfd.readouterr().out


def test_the_embedding_program_prints_what_the_page_says(tmp_path):
    for name, block in files(PAGE).items():
        (tmp_path / name).write_text(block)
    done = subprocess.run(
        [sys.executable, "embed_texts.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == blocks(PAGE, "text")[-1]
