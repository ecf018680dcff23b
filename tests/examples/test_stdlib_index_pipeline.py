import json
import shutil
import sysconfig
import warnings
from pathlib import Path

import pytest

from factflow_engine import (
    OrchestratorManager,
    PipelineConfigLoader,
    ValidatingAdapterRegistry,
    open_lineage,
    open_storage,
)
from factflow_engine.adapters import AdapterDiscovery
from factflow_engine.frames import unpack

EXAMPLE = Path(__file__).parents[2] / "examples" / "stdlib_index"
LIBRARY = {
    "good.py": '"""A module."""\n\nclass A:\n    """A class."""\n\n    def f(self):\n        """One two three."""\n',
    "pkg/__init__.py": '"""A package."""\n',
    "pkg/silent.py": "x = 1\n",
    "pkg/empty.py": "",
    "pkg/notes.txt": "not python",
    "pkg/huge.py": f'"""Too long to parse."""\nx = """{"x" * 1_000_000}"""\n',
    "test/data/python2.py": "print 'hello'\n",
    "test/data/bad_coding.py": "# coding: uft-8\n",
    "site-packages/other.py": '"""Installed, not part of the library."""\n',
}


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The example beside a small library in place of the real one, so that `out` lies in the test's folder."""
    for name, text in LIBRARY.items():
        file = tmp_path / "library" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path / "library"))
    folder = tmp_path / "examples" / "stdlib_index"
    folder.mkdir(parents=True)
    shutil.copy(EXAMPLE / "pipeline.yaml", folder)
    with warnings.catch_warnings():
        yield folder / "pipeline.yaml"


def lines(folder, name):
    return [json.loads(line) for line in (folder / "out" / "stdlib_index" / name).read_text().splitlines()]


async def test_the_index_holds_every_docstring_and_broken_files_stop_nothing(example, tmp_path):
    registry = ValidatingAdapterRegistry()
    assert AdapterDiscovery(registry).from_file(EXAMPLE / "adapters.py").problems == ()
    config = PipelineConfigLoader(registry).load(example)
    storage = open_storage("memory://")
    lineage = open_lineage("sqlite:///lineage", directory=tmp_path)
    async with OrchestratorManager(registry=registry, storage=storage, lineage=lineage) as manager:
        execution = await manager.start(config)
        report = await execution.complete()
    await lineage.close()

    stored = [await storage.read(key) async for key in storage.list(f"executions/{execution.id}/parse/parse_python/")]
    assert sorted(metadata.custom["path"] for _, metadata in stored) == ["good.py", "pkg/__init__.py", "pkg/silent.py"]
    segments = [segment["name"] for data, _ in stored for segment in unpack(data)["segments"]]
    assert sorted(segments) == ["good", "good.A", "good.A.f", "pkg"]
    assert report.status == "completed"
    assert sorted((failure.stage, failure.error_type) for failure in report.failures) == [
        ("parse_python", "SyntaxError"),
        ("parse_python", "SyntaxError"),
    ]
    assert {"bad_coding.py", "python2.py"} == {
        name for name in ("bad_coding.py", "python2.py") for failure in report.failures if name in failure.error
    }
    assert sorted(segment["name"] for segment in lines(tmp_path, "modules.jsonl")) == ["good", "pkg"]
    assert [segment["name"] for segment in lines(tmp_path, "classes.jsonl")] == ["good.A"]
    assert lines(tmp_path, "functions.jsonl") == [
        {
            "path": "good.py",
            "kind": "function",
            "name": "good.A.f",
            "line": 6,
            "end_line": 7,
            "docstring": "One two three.",
            "words": 3,
        }
    ]
    (summary,) = lines(tmp_path, "summary.jsonl")
    assert (summary["counts"], summary["total"]) == ({"module": 2, "class": 1, "function": 1}, 4)


async def test_running_it_again_gives_the_same_index(example, tmp_path):
    registry = ValidatingAdapterRegistry()
    AdapterDiscovery(registry).from_file(EXAMPLE / "adapters.py")
    config = PipelineConfigLoader(registry).load(example)
    indexes = []
    lineage = open_lineage("sqlite:///lineage", directory=tmp_path)
    async with OrchestratorManager(registry=registry, storage=open_storage("memory://"), lineage=lineage) as manager:
        for _ in range(2):
            await (await manager.start(config)).complete()
            indexes.append(sorted(segment["name"] for segment in lines(tmp_path, "modules.jsonl")))
    await lineage.close()
    assert indexes[0] == indexes[1] == ["good", "pkg"]
