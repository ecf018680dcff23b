"""The page "Replay, fork and recovery": its commands are run, in order, and do what it says."""

import shlex
import sqlite3

from click.testing import CliRunner

from factflow_engine.cli.root import root
from support.doc_pages import DOCS, blocks

PAGE = DOCS / "replay.md"


def call(words):
    return CliRunner().invoke(root, words)


def test_its_commands_do_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACTFLOW_HOME", raising=False)
    [pipeline] = blocks(PAGE, "yaml")
    (tmp_path / "words.yaml").write_text(pipeline)
    (tmp_path / "changed.yaml").write_text(pipeline.replace("field: word,", "field: seen,"))
    replays, [recover] = ([shlex.split(line)[1:] for line in block.splitlines()] for block in blocks(PAGE, "sh"))
    said = {" ".join(words): call(words) for words in replays}
    assert {words: result.output for words, result in said.items() if result.exit_code} == {}
    planned = said["execution replay first --from-stage set_fields --dry-run"]
    assert "3 messages" in planned.stdout
    assert "nothing was published" in planned.stderr
    assert said["execution list"].stdout.count("completed") == 3
    refused = call(recover)
    assert refused.exit_code == 2
    assert "nothing to recover" in refused.stderr
    with sqlite3.connect(tmp_path / ".factflow" / "executions.db") as connection:
        connection.execute("UPDATE execution SET status = 'interrupted', report = NULL")
    connection.close()
    assert call(recover).exit_code == 0
