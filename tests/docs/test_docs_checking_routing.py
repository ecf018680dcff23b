"""The page about checking routing: its commands print what it shows."""

import re
import shlex

from click.testing import CliRunner

from factflow_engine.analysis import PROPERTIES
from factflow_engine.cli.root import root
from support.doc_pages import DOCS, blocks, files, tables, text

PAGE = DOCS / "checking-routing.md"


def test_the_commands_print_what_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, block in files(PAGE).items():
        (tmp_path / name).write_text(block)
    (tmp_path / "changed.yaml").write_text(
        (tmp_path / "orders.yaml").read_text().replace("operator: gte", "operator: gt")
    )
    commands, shown = blocks(PAGE, "sh"), blocks(PAGE, "text")
    assert len(commands) == len(shown) == 2
    for command, expected in zip(commands, shown, strict=True):
        said = CliRunner().invoke(root, shlex.split(command)[1:])
        assert (said.stdout.rstrip(), said.exit_code) == (expected.rstrip(), 1)


def test_the_table_has_every_property():
    [rows] = tables(PAGE)
    assert [cells[0].strip("`") for cells in rows] == list(PROPERTIES)
    assert set(re.findall(r"--require (\w+)", text(PAGE))) <= set(PROPERTIES)
