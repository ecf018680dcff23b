"""The JSON Schema of files of tests accepts what can be read, and refuses what has a wrong shape."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from factflow_engine.cli.root import root
from factflow_engine.testing.config_tests.schema import tests_schema as schema
from support.doc_pages import DOCS, ROOT, files

VALIDATOR = Draft202012Validator(schema())
HEAD = "tests:\n  - name: it\n"


def errors(text: str) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(YAML(typ="safe", pure=True).load(text))]


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(
    "text",
    [
        files(DOCS / "config-tests.md")["orders.test.yaml"],
        Path(ROOT, "examples", "stdlib_index", "pipeline.test.yaml").read_text(encoding="utf-8"),
        f"{HEAD}    expect: {{outputs: {{q: [1, null, {{a: 1}}, {{payload: 1, key: a, at: 2}}, {{contains: {{}}, at: {{at_most: 1}}}}]}}}}",
        f"{HEAD}    expect: {{outputs: {{q: {{order: exact, messages: []}}}}, calls: {{a/b: 2, a/c: [1], a/d: {{count: 1}}}}}}",
        f"{HEAD}    stages: {{a/b: {{raises: x, fails: 2, times: 0.5}}, a/c: {{raises: {{type: A, text: x}}, fails: {{share: 1}}}}}}\n    expect: {{}}",
    ],
    ids=range(5),
)
def test_it_accepts(text) -> None:
    assert errors(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "tests: []", f"{HEAD}", f"{HEAD}    expect: {{ordre: any}}", f"{HEAD}    sede: 1\n    expect: {{}}",
        f"{HEAD}    expect: {{outputs: {{q: [{{payload: 1, kye: 2}}]}}}}", f"{HEAD}    expect: {{outputs: {{q: true}}}}",
        f"{HEAD}    expect: {{order: sorted}}", f"{HEAD}    stages: {{a/b: {{times: soon}}}}\n    expect: {{}}",
        f"{HEAD}    stages: {{a/b: {{filters: false}}}}\n    expect: {{}}", f"{HEAD}    inputs: [{{payload: 1}}]\n    expect: {{}}",
    ],
)  # fmt: skip
def test_it_refuses(text) -> None:
    assert errors(text) != []


def test_the_command_prints_it() -> None:
    said = CliRunner().invoke(root, ["config", "schema", "--tests"])
    assert json.loads(said.stdout) == schema()
