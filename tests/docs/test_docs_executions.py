"""The page "Executions": its commands are run, in order; its tables say what the engine says."""

import re
import shlex

from click.testing import CliRunner

from factflow_engine.cli.execution_wait import STATUSES
from factflow_engine.cli.root import root
from factflow_engine.executions.home import Home
from factflow_engine.runtime.report import ExecutionStatus
from support.doc_pages import DOCS, blocks, tables, text

PAGE = DOCS / "executions.md"


def test_its_commands_do_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FACTFLOW_HOME", raising=False)
    pipeline, _ = blocks(PAGE, "yaml")
    (tmp_path / "nightly.yaml").write_text(pipeline)
    configs, executions, once = ([shlex.split(line)[1:] for line in block.splitlines()] for block in blocks(PAGE, "sh"))
    *before, delete = configs
    said = {" ".join(words): CliRunner().invoke(root, words) for words in (*before, *executions, *once, *once, delete)}
    failed = {words for words, result in said.items() if result.exit_code}
    assert failed == {"execution cancel latest --grace 10"}  # it had ended
    assert "nightly" in said["config list"].stdout
    assert said["execution wait first"].stdout.split()[1] == "completed"
    assert "hello again" not in said["config get nightly --version 1"].stdout
    assert said["doctor"].stdout.splitlines()[-1] == "nothing is wrong"
    assert "nothing was started" in said[" ".join(once[0])].stderr


def test_its_tables_say_what_the_engine_says():
    parts, statuses = tables(PAGE)
    home = Home(".factflow")
    assert [cell.strip("`/") for cell, _ in parts] == [home.executions.name, home.lineage.name, home.objects.name]
    shown = {cell.strip("`") for cell, _ in statuses}
    assert shown == {str(status) for status in ExecutionStatus} - {"starting"}
    [said] = re.findall(r"its exit status is (.*?)\.", text(PAGE), flags=re.DOTALL)
    numbers = {int(number): word for number, word in re.findall(r"(\d) (\w+)", said)}
    assert numbers == {int(status): str(state) if int(status) != 6 else "still" for state, status in STATUSES.items()}
