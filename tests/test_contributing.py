"""CONTRIBUTING.md is followed to the letter: its lists are complete, its targets exist, its recipes work."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from factflow_engine.config import (
    BackpressureConfig,
    ErrorHandlingConfig,
    InboundConfig,
    OrchestratorConfig,
    ProcessorConfig,
)
from factflow_engine.config.models.resilience import CircuitBreakerConfig
from support.doc_pages import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SOURCES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for folder in ("python", "rust")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".pyi", ".rs"}
    and "tests" not in path.stem
    and "tests" not in path.relative_to(ROOT).parts
}

RECIPES: dict[str, tuple[str, list[str]]] = {}
for _title, _body in re.findall(r"^### (.*?)\n(.*?)(?=^##)", TEXT, flags=re.MULTILINE | re.DOTALL):
    _places = re.findall(r"^- `([^`]+)`:", _body, flags=re.MULTILINE)
    if _places:
        RECIPES[_title] = (re.findall(r"`(\w+)`", _body.partition(":\n")[0])[-1], _places)


def test_the_recipes_are_those_that_can_be_counted() -> None:
    assert set(RECIPES) == {
        "A built-in adapter",
        "A configuration field",
        "A setting of the execution",
        "A setting of the circuit breaker",
        "A finding code",
        "A condition operator",
        "A command",
        "A queue provider",
        "A native class",
        "A public name",
    }


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_names_every_file_that_names_its_example(title: str) -> None:
    example, places = RECIPES[title]
    folders = [place for place in places if place.endswith("/")]
    naming = [path for path, text in SOURCES.items() if re.search(rf"\b{example}\b", text)]
    found = {next((folder for folder in folders if path.startswith(folder)), path) for path in naming}
    assert sorted(places) == sorted(found)
    assert len(places) <= 6


SETTINGS = {
    model: [
        name
        for name in model.model_fields
        if name not in {"dead_letter_queue", "queue", "subscription", "capacity", "key"}
    ]
    for model in (
        OrchestratorConfig,
        ProcessorConfig,
        ErrorHandlingConfig,
        BackpressureConfig,
        CircuitBreakerConfig,
        InboundConfig,
    )
}
"""The settings of each section. Left out are names of queues and of keys, which are wired, drawn and stored everywhere."""


OTHER_SECTIONS = re.compile(r"lineage|/announcing")
"""Files of sections that are not counted here and have settings of the same names."""


def naming(field: str) -> list[str]:
    """Return the files that read a field off a section, name it as text beside the models, or define it."""
    section = r"(?:section|settings|_?source|inbound|error_handling|errors|orchestrator|processor|backpressure|circuit_breaker)"
    read = re.compile(rf"(?<!`)\b{section}\.{field}\b|^    {field}: .*Field\(", flags=re.MULTILINE)
    text = re.compile(rf"[\"']{field}[\"']")
    return [
        path
        for path, found in SOURCES.items()
        if field in found
        and (read.search(found) or ("/config/" in path and text.search(found)))
        and not OTHER_SECTIONS.search(path)
    ]


@pytest.mark.parametrize("model", SETTINGS, ids=lambda model: model.__name__)
def test_each_setting_that_there_is_stands_in_few_files(model: type[BaseModel]) -> None:
    counts = {field: naming(field) for field in SETTINGS[model]}
    assert all(counts.values()), "each is at least defined"
    assert {field: paths for field, paths in counts.items() if len(paths) > 6} == {}


def test_the_count_of_settings_sees_what_reads_them() -> None:
    assert len(naming("max_retries")) == 5
    assert len(naming("prefetch")) == 5


def test_every_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    prose = re.sub(r"^```\w*$", "", TEXT, flags=re.MULTILINE)
    code = re.findall(r"`([^`\n]+)`", prose) + re.findall(r"^make .*", prose, flags=re.MULTILINE)
    named = {target for text in code for target in re.findall(r"^make ([a-z-]+)", text)}
    assert len(named) > 8
    assert named <= targets
    phony = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert phony
    assert {target for target in targets if (ROOT / target).is_dir()} <= set(phony[1].split())


def test_every_path_that_is_named_exists() -> None:
    named = re.findall(r"`((?:python|rust|tests|bench|docs|examples|\.ci)/[\w./-]*)`", TEXT)
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_map_shows_every_package_of_the_engine() -> None:
    [table] = re.findall(r"^## The map\n(.*?)^##", TEXT, flags=re.MULTILINE | re.DOTALL)
    shown = set(re.findall(r"^\| `(python/[^`]+)/` \|", table, flags=re.MULTILINE))
    engine = ROOT / "python" / "factflow_engine"
    packages = {path.parent for pattern in ("*/__init__.py", "runtime/*/__init__.py") for path in engine.glob(pattern)}
    expected = {str(path.relative_to(ROOT)) for path in (*packages, engine, ROOT / "python" / "factflow_protocols")}
    assert shown == expected


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages as they are, to be changed."""
    shutil.copytree(ROOT / "python", tmp_path / "python", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "python"


def factflow(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = "import sys; from factflow_engine.cli import main; sys.argv[0] = 'factflow'; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=python.parent,
        env=os.environ | {"PYTHONPATH": str(python)},
        capture_output=True,
        text=True,
        check=False,
    )


def insert(path: Path, after: str, line: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(after) == 1
    path.write_text(text.replace(after, after + line), encoding="utf-8")


def test_an_adapter_is_added_in_the_two_places(copy: Path) -> None:
    builtin = copy / "factflow_engine" / "adapters" / "builtin"
    source = (builtin / "pick_fields.py").read_text(encoding="utf-8")
    (builtin / "choose.py").write_text(source.replace("PickFields", "Choose"), encoding="utf-8")
    insert(builtin / "__init__.py", '"call_async": "call:CallAsync",\n', '        "choose": "choose:Choose",\n')
    shown = factflow(copy, "adapters", "show", "choose")
    assert shown.returncode == 0, shown.stderr
    assert "Keep the named fields" in shown.stdout


def test_a_queue_provider_is_added_in_the_two_places(copy: Path) -> None:
    queues = copy / "factflow_engine" / "queues"
    source = (queues / "memory.py").read_text(encoding="utf-8").replace("memory://", "spool://")
    source = source.replace("return memory_queue_name_problem(queue)", 'return "is not for the spool; choose another"')
    (queues / "spool.py").write_text(source.replace("MemoryQueue", "SpoolQueue"), encoding="utf-8")
    row = '    "spool": "factflow_engine.queues.spool:SpoolQueue",\n'
    insert(queues / "providers.py", "BUILT_IN_PROVIDERS: Final = {\n", row)
    (copy.parent / "p.yaml").write_text('{version: "1.0", routes: {a: {adapters: [{type: log}]}}}', encoding="utf-8")
    for command in (("config", "validate"), ("run",)):
        refused = factflow(copy, *command, "p.yaml", "--queue", "spool://")
        assert refused.returncode == 2
        assert "p.yaml:1:27: E204 '/queue/a' is not for the spool" in refused.stdout + refused.stderr
    assert "SpoolQueue has no administration" in factflow(copy, "queue", "stats", "spool://").stderr


def test_a_command_is_added_in_the_two_places(copy: Path) -> None:
    cli = copy / "factflow_engine" / "cli"
    source = (cli / "graph.py").read_text(encoding="utf-8").replace("graph_command", "draw_command")
    (cli / "draw.py").write_text(source.replace('"graph",', '"draw",'), encoding="utf-8")
    row = '    "draw": LazyCommand(target="factflow_engine.cli.draw:draw_command", summary="Draw it."),\n'
    insert(cli / "root.py", "_COMMANDS: Final = {\n", row)
    assert "Draw it." in factflow(copy, "--help").stdout
    (copy.parent / "p.yaml").write_text('{version: "1.0", routes: {a: {adapters: [{type: log}]}}}', encoding="utf-8")
    drawn = factflow(copy, "draw", "p.yaml")
    assert drawn.returncode == 0, drawn.stderr
    assert drawn.stdout.startswith("flowchart")


def test_a_field_of_a_model_reaches_the_loader_the_schema_and_the_routes(copy: Path) -> None:
    models = copy / "factflow_engine" / "config" / "models" / "resilience.py"
    field = '    patience: int = Field(default=3, ge=0, le=9, description="How long to hope.")\n'
    insert(models, '"""Treatment of a message whose adapter failed."""\n\n', field)
    (copy.parent / "p.yaml").write_text(
        'version: "1.0"\nerror_handling: {patience: 7}\nroutes: {a: {adapters: [{type: log}]}}\n', encoding="utf-8"
    )
    assert factflow(copy, "config", "validate", "p.yaml").returncode == 0
    assert "How long to hope." in factflow(copy, "config", "schema").stdout
    (copy.parent / "p.yaml").write_text(
        'version: "1.0"\nroutes: {a: {adapters: [{type: log}], error_handling: {patience: 10}}}\n', encoding="utf-8"
    )
    refused = factflow(copy, "config", "validate", "p.yaml")
    assert refused.returncode == 2
    assert "patience" in refused.stdout + refused.stderr
