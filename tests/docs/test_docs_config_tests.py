"""The page about tests of configurations: its commands print what it shows, and it names every field."""

import re
import shlex

import pytest
from click.testing import CliRunner

from factflow_engine.cli.root import root
from factflow_engine.testing.config_tests.models import (
    AnswerModel,
    CaseModel,
    ExpectModel,
    InputModel,
    StubModel,
    TestFileModel,
    TestModel,
)
from factflow_engine.testing.config_tests.reading import read_tests
from support.doc_pages import DOCS, blocks, files, tables, text

PAGE = DOCS / "config-tests.md"
CHANGED = {1: ("operator: gte", "operator: lt")}
"""What the page says is changed before a command."""


def _untimed(printed):
    """Return output without virtual times, which retries draw from the seed, and changes of the engine may draw anew."""
    return re.sub(r"\(\d+\.\d+ s\)", "(some s)", printed)


def test_the_commands_print_what_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    commands, shown = blocks(PAGE, "sh"), blocks(PAGE, "text")
    assert len(commands) == len(shown) == 4
    for place, (command, expected) in enumerate(zip(commands[:3], shown, strict=False)):
        for name, block in files(PAGE).items():
            (tmp_path / name).write_text(block.replace(*CHANGED[place]) if place in CHANGED else block)
        said = CliRunner().invoke(root, shlex.split(command)[1:])
        assert _untimed(said.stdout) == _untimed(expected)
        assert said.exit_code == int(place in CHANGED)


def test_the_run_that_the_page_records_becomes_a_test(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.yaml").write_text(files(PAGE)["shop.yaml"])
    said = CliRunner().invoke(root, [*shlex.split(blocks(PAGE, "sh")[3])[1:], "--progress", "none"])
    assert said.exit_code == 0
    assert said.stdout.splitlines()[1:] == blocks(PAGE, "text")[3].splitlines()[1:]
    assert said.stderr == "factflow: the run was recorded as a test: factflow test monday.test.yaml\n"
    recorded = read_tests(tmp_path / "monday.test.yaml").model
    assert list(recorded.stages) == ["orders/call"]
    assert [case.returns for case in recorded.stages["orders/call"].cases] == ['{"n": 1}', '{"n": 2}']
    assert CliRunner().invoke(root, ["test", "monday.test.yaml"]).exit_code == 0


def test_the_tables_have_every_field():
    stubs, expect = tables(PAGE)
    named = {name for row in stubs for name in re.findall(r"`(\w+):", row[0])}
    assert named | {"input", "when", "attempt", "calls"} == {*StubModel.model_fields} | {*CaseModel.model_fields}
    assert {*AnswerModel.model_fields} <= named
    assert {name for row in expect for name in re.findall(r"`(\w+):", row[0])} == {*ExpectModel.model_fields}


@pytest.mark.parametrize("model", [InputModel, TestModel, TestFileModel])
def test_every_field_is_named(model):
    left_out = {"description", "recorded"}
    assert {name for name in model.model_fields if not re.search(rf"\b{name}\b", text(PAGE))} <= left_out
