"""What a process imports by the time it has got so far. Modules are counted, not milliseconds: these are the same everywhere."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

HOLD_A_LOADER = """
from factflow_engine import AdapterResult, PipelineAdapter, PipelineConfigLoader, ValidatingAdapterRegistry

registry = ValidatingAdapterRegistry()

@registry.register("greet")
class Greet(PipelineAdapter):
    async def process(self, context):
        return AdapterResult(message={"text": "hello"})

loader = PipelineConfigLoader(registry)
"""

FIRST_MESSAGE = (
    HOLD_A_LOADER
    + """
import trio
from factflow_engine import OrchestratorManager

TEXT = '{version: "1.0", routes: {a: {adapters: [{type: greet}]}}, init_message: {route: a, payload: {}}}'

async def main():
    async with OrchestratorManager(registry=registry) as manager:
        report = await (await manager.start(loader.load_text(TEXT))).complete()
    assert report.routes["a"].completed == 1

trio.run(main)
"""
)

NOT_FOR_A_MESSAGE = {
    "asyncio",
    "click",
    "rich",
    "httpx",
    "jsonschema",
    "factflow_engine.adapters.discovery",
    "factflow_engine.adapters.config_checks",
    "factflow_engine.app",
    "factflow_engine.cli",
    "factflow_engine.config.schema",
    "factflow_engine.config.single_route",
    "factflow_engine.resilience.circuit_breaker",
    "factflow_engine.testing",
}


def imported_by(program: str) -> set[str]:
    """All modules that a fresh interpreter has after a program, besides those it began with."""
    frame = f"import sys\nbefore = set(sys.modules)\n{program}\nimport json\n"
    frame += "print(json.dumps(sorted(set(sys.modules) - before)))"
    run = subprocess.run([sys.executable, "-c", frame], capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout))


def test_late_imports_are_statements_so_that_the_layers_are_checked():
    """A module that is imported by its name in a string would be an arrow that import-linter does not see."""
    sources = sorted((ROOT / "python" / "factflow_engine").rglob("*.py"))
    assert len(sources) > 200
    hidden = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("import_module")
        and ast.unparse(node.args[0]).startswith("'factflow_engine")
    ]
    assert hidden == []


def test_importing_the_package_imports_none_of_its_modules():
    imported = imported_by("import factflow_engine")
    assert {name for name in imported if name.startswith("factflow")} == {"factflow_engine", "factflow_engine.names"}
    assert not imported & {"trio", "pydantic", "jsonschema", "ruamel.yaml", "inspect", "dataclasses", "logging"}


def test_holding_a_loader_imports_neither_models_nor_yaml():
    imported = imported_by(HOLD_A_LOADER)
    assert "factflow_engine.config.loader" in imported
    assert not imported & {"pydantic", "pydantic_core", "ruamel.yaml", "importlib.metadata", "jsonschema"}


def test_holding_a_manager_imports_neither_models_nor_yaml():
    imported = imported_by(f"{HOLD_A_LOADER}\nfrom factflow_engine import OrchestratorManager")
    assert "factflow_engine.runtime.hop.loop" in imported
    assert not imported & {"pydantic", "pydantic_core", "ruamel.yaml", "importlib.metadata", "jsonschema"}


def test_a_first_message_imports_only_what_carries_it():
    imported = imported_by(FIRST_MESSAGE)
    assert {"pydantic", "ruamel.yaml", "factflow_engine.runtime.hop.loop"} <= imported  # it did run
    assert not imported & NOT_FOR_A_MESSAGE


@pytest.mark.parametrize("name", ["AdapterDiscovery", "auto_discover_and_register"])
def test_discovery_is_there_when_it_is_asked_for(name: str):
    assert "factflow_engine.adapters.discovery" in imported_by(f"from factflow_engine.adapters import {name}")


RUN = """
import os, sys, tempfile
os.chdir(tempfile.mkdtemp())
open("p.yaml", "w").write('{version: "1.0", routes: {a: {adapters: [{type: delay, config: {seconds: 0}}]}}}')
sys.stdout = open(os.devnull, "w")
from factflow_engine.cli.root import root
assert root.main(["run", "p.yaml"], standalone_mode=False) == 0
sys.stdout = sys.__stdout__
"""


def test_a_run_without_a_home_imports_no_store():
    imported = imported_by(RUN)
    assert "factflow_engine.executions.home" in imported
    assert not imported & {
        "sqlite3",
        "factflow_engine.executions.recording",
        "factflow_engine.lineage.providers",
        "factflow_engine.storages.providers",
    }
