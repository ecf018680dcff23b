"""The page "Lineage": its commands run, the output that it shows is printed, its tables say what the code says."""

import shlex

import trio
from click.testing import CliRunner

from factflow_engine.cli.root import root
from factflow_engine.lineage.sqlite.location import _OPTIONS, SqliteLineageSettings
from factflow_engine.lineage.sqlite.schema import OUTCOME_COLUMNS, VISIT_COLUMNS
from support.doc_pages import DOCS, blocks, tables
from support.lineage_demo import record

PAGE = DOCS / "lineage.md"


def test_the_commands_run_and_print_what_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for variable in ("FACTFLOW_HOME", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    trio.run(record, tmp_path / ".factflow" / "lineage")
    printed = {}
    for line in "".join(blocks(PAGE, "sh")).splitlines():
        words = shlex.split(line)
        assert words[0] == "factflow"
        result = CliRunner().invoke(root, words[1:])
        assert result.exit_code == 0, (line, result.output)
        printed[words[1], words[2]] = result.stdout
    [shown] = blocks(PAGE, "")
    assert printed["explain", "01a0c4506bf48b3d"] == shown
    assert printed["lineage", "sql"].strip() == "outcome\ndead_lettered"
    assert {path.name for path in tmp_path.iterdir()} == {".factflow", "visits.jsonl", "outcomes.parquet"}


def test_the_tables_name_every_column_and_option(tmp_path):
    columns, options, *_ = tables(PAGE)
    named = {name.strip("` ") for row in columns for name in row[0].split(",")}
    assert named == {*VISIT_COLUMNS, *OUTCOME_COLUMNS}
    assert {row[0].strip("`") for row in options} == set(_OPTIONS)
    [size] = [row[2] for row in options if row[0] == "`segment_bytes`"]
    assert int(size) == SqliteLineageSettings(path=tmp_path).segment_bytes
