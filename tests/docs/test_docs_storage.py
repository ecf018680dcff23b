"""The page "Object stores": its program and commands do what it says, its tables agree with the code."""

import shlex
import subprocess
import sys

from click.testing import CliRunner

from factflow_engine.cli.root import root
from factflow_engine.storages.bucket import attributes, calls
from factflow_engine.storages.examination import ProblemKind
from factflow_engine.storages.keys import LONGEST_KEY_BYTES, LONGEST_PART_BYTES
from factflow_engine.storages.providers import BUILT_IN_PROVIDERS
from factflow_engine.storages.verification import GRACE_SECONDS
from support.doc_pages import DOCS, blocks, tables, text

PAGE = DOCS / "storage.md"


def test_the_program_and_then_the_commands_of_the_page_work(tmp_path, monkeypatch):
    [program] = blocks(PAGE, "python")
    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    said = []
    for line in blocks(PAGE, "sh")[0].splitlines():
        ran = CliRunner().invoke(root, shlex.split(line)[1:])
        assert ran.exit_code == 0, f"{line}: {ran.output}"
        said.append(ran.stdout)
    assert said[0] == "reports/2026.txt\n"
    assert said[3] == "all is well\n"
    assert said[4:] == ["1 object copied, 12 bytes\n", "1 object whole, 12 bytes; 0 problems\n"]


def test_the_files_are_those_that_the_page_shows(tmp_path):
    [program] = blocks(PAGE, "python")
    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=tmp_path, check=True)
    [shown] = blocks(PAGE, "text")
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.txt*")}
    assert files == set(shown.split())


def test_the_tables_have_every_scheme_and_every_problem():
    schemes, problems = tables(PAGE)
    assert {row[0].partition("://")[0].strip("`") for row in schemes} == set(BUILT_IN_PROVIDERS)
    assert [row[0].strip("`") for row in problems] == [kind.value for kind in ProblemKind]


def test_the_figures_of_the_page_are_those_of_the_code():
    page = text(PAGE)
    assert f"1 to {LONGEST_KEY_BYTES} bytes of UTF-8, in parts of at most {LONGEST_PART_BYTES} bytes" in page
    assert f"More than {attributes.LONGEST_HEADER_BYTES:,} bytes" in page
    assert f"more than {calls.WINDOW_BYTES >> 20} MiB" in page
    assert GRACE_SECONDS == 3600
