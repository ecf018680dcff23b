"""The README's example does what the README says, as it stands there."""

import re
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest

from factflow_engine import PipelineConfigLoader, ValidatingAdapterRegistry

_README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", _README, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(60)
def test_the_example_prints_what_the_readme_says(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(_blocks("yaml")[0], encoding="utf-8")
    program, _ = _blocks("python")
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.stderr == ""
    assert [ran.stdout] == _blocks("text")


@pytest.mark.timeout(60)
def test_the_example_does_the_same_on_a_durable_queue(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(_blocks("yaml")[0], encoding="utf-8")
    program, durable = _blocks("python")
    imported, made, *started = durable.splitlines()
    in_memory = [line for line in program.splitlines() if line.startswith("    async with") or ".start(config)" in line]
    for line, instead in zip(in_memory, started, strict=True):
        program = program.replace(line, "    " + instead)
    program = program.replace("async def main() -> None:", f"async def main() -> None:\n    {made}")
    program = program.replace("    for route,", "    await queue.stop()\n    for route,")
    (tmp_path / "program.py").write_text(f"{imported}\n{program}", encoding="utf-8")
    ran = subprocess.run(
        [sys.executable, "-W", "error", "program.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.stderr == ""
    assert [ran.stdout] == _blocks("text")
    assert (tmp_path / "file.db").exists()


def test_the_sections_that_the_readme_shows_belong_to_a_pipeline() -> None:
    _, sections, limited = _blocks("yaml")
    registry = ValidatingAdapterRegistry()
    text = 'version: "1.0"\nroutes: {r: {adapters: [{type: log}]}}\n' + sections
    route = PipelineConfigLoader(registry).load_text(text).routes["r"]
    assert route.error_handling.max_retries == 3
    assert route.adapters[0].circuit_breaker is not None
    text = 'version: "1.0"\nroutes:\n  r:\n' + indent(limited, "    ")
    limit = PipelineConfigLoader(registry).load_text(text).routes["r"].adapters[0].backpressure
    assert limit is not None
    assert limit.algorithm == "adaptive"


def test_every_command_that_the_readme_shows_exists() -> None:
    shown = set(re.findall(r"^factflow ([a-z]+)", _README, flags=re.MULTILINE))
    assert shown == {
        "adapters", "config", "dlq", "doctor", "execution", "explain", "graph", "lineage", "publish", "queue", "run", "storage", "test",
    }  # fmt: skip


def test_the_folders_of_the_map_exist() -> None:
    root = Path(__file__).parent.parent
    rows = re.findall(r"^\| (`.*?`) \|", _README, flags=re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert len(named) > 10
    engine = root / "python" / "factflow_engine"
    missing = [name for name in named if not (root / name).exists() and not (engine / name).exists()]
    assert missing == []
