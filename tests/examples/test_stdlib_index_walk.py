"""The walk of the example's README: its commands run, in order, on a small library, and print what it shows.

Ids, times and numbers apart. The process is killed when the store holds every file but one, which waits for that.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.factflow_process import environment, let_leases_run_out

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "stdlib_index"
HELD = "held.py"
LIBRARY = {
    "_pydecimal.py": '"""A module."""\n\n\ndef f():\n    """A function."""\n',
    HELD: '"""A file that is parsed when it may be."""\n',
    "lib2to3/tests/data/bom.py": '# coding: utf-8\nprint "BOM BOOM!"\n',
    "lib2to3/tests/data/crlf.py": 'print "hi"\n',
    "tkinter/__init__.py": '"""A package."""\n\n\nclass A:\n    """A class."""\n\n    def f(self):\n        """One."""\n',
}
PARSED = 3
HOLDING = """

import time

sysconfig.get_path = lambda _: {library!r}
_parsed = ParsePython.process


def _held(self, context):
    while context.message["name"] == {held!r} and not Path({may_go!r}).exists():
        time.sleep(0.01)
    return _parsed(self, context)


ParsePython.process = _held
"""
"""What a test adds to the adapters: a library of its own, and a file of it that waits."""


def commands(text):
    """The commands of a page, each with the lines that it shows below."""
    found = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def form(line):
    """A line without what differs from run to run."""
    for pattern, instead in (
        (r"\b[0-9a-f]{64}\b", "SUM"),
        (r"\b[0-9a-f]{32}\b", "ID"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+Z)?", "TIME"),
        (r"\b[\d.,]+ (us|ms|s|min)\b", "TOOK"),
        (r" +waited TOOK for \w+", ""),
        (r"(?<![\w/])\d[\d,]*(?![\w/])", "N"),
        (r"\s+", " "),
    ):
        line = re.sub(pattern, instead, line)
    return line.strip()


class Walk:
    """Whoever walks through the page: a folder, the variables of a shell, and what runs in its background."""

    def __init__(self, folder):
        self.folder, self.may_go = folder, folder / "may-go"
        self.objects = folder / "out" / "stdlib_index" / "home" / "objects"
        self.variables = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        self.in_background: list[subprocess.Popen[bytes]] = []

    def make_checkout(self):
        for name, source in LIBRARY.items():
            file = self.folder / "library" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source)
        example = self.folder / "examples" / "stdlib_index"
        example.mkdir(parents=True)
        (example / "pipeline.yaml").write_text((EXAMPLE / "pipeline.yaml").read_text())
        holding = HOLDING.format(library=str(self.folder / "library"), held=HELD, may_go=str(self.may_go))
        (example / "adapters.py").write_text((EXAMPLE / "adapters.py").read_text() + holding)
        self.may_go.touch()

    def walk(self, command):
        """Do what a line of the page says; return what it prints."""
        words = shlex.split(command)
        if command == "make demo":
            makefile = (ROOT / "Makefile").read_text()
            [home] = re.findall(r"^DEMO_HOME \S*= (\S+)$", makefile, flags=re.MULTILINE)
            [recipe] = re.findall(r"^\t\$\(BIN\)/(factflow run .*)$", makefile, flags=re.MULTILINE)
            return self.run(recipe.replace("$(DEMO_HOME)", home))
        if words[0] == "." or words[0] == "export":
            self.variables |= dict(word.split("=") for word in words[1:] if words[0] == "export")
            return ""
        if words[0] == "cd":
            self.folder /= words[1]
            return ""
        if words[-1] == "&":
            self.may_go.unlink()
            process = subprocess.Popen(words[:-1], cwd=self.folder, env=environment(**self.variables))
            self.in_background.append(process)
            return ""
        if words[0] == "kill":
            return self.kill(words)
        return self.run(command)

    def run(self, command):
        ran = subprocess.run(
            command, shell=True, cwd=self.folder, env=environment(**self.variables), check=False, text=True, timeout=100,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert ran.returncode == 0, f"{command}\n{ran.stdout}"
        return ran.stdout

    def kill(self, words):
        assert words == ["kill", "-KILL", "$!"]
        [process] = self.in_background
        while self.stored() < 2 * PARSED - 1:
            assert process.poll() is None, "it has ended by itself"
            time.sleep(0.01)
        process.kill()
        assert process.wait(60) == -signal.SIGKILL
        self.may_go.touch()
        let_leases_run_out(self.objects.parent)
        return ""

    def stored(self):
        return len(list(self.objects.rglob("*.msgpack")))


@pytest.fixture
def walk(tmp_path):
    walk = Walk(tmp_path)
    walk.make_checkout()
    yield walk
    for process in walk.in_background:
        process.kill()
        process.wait(60)


def test_its_commands_print_what_it_shows(walk):
    page = commands((EXAMPLE / "README.md").read_text(encoding="utf-8"))
    sums, failed = [], ""
    for command, shown in page:
        if command.startswith("factflow explain "):
            command = f"factflow explain {failed}"  # noqa: PLW2901 - the page shows an id of another run
        printed = walk.walk(command)
        rest = iter([form(line) for line in printed.splitlines()])
        for line in shown:
            is_there = line in {"", "..."} or form(line) in rest
            assert is_there, f"{command}\nshould show {line!r}, printed\n{printed}"
        sums += re.findall(r"^\w{64}", printed, flags=re.MULTILINE)
        failed = next(iter(re.findall(r"^(\w{32}) .*bom\.py", printed, flags=re.MULTILINE)), failed)
    assert len(sums) == 2
    assert sums[0] == sums[1]
    assert walk.stored() == 2 * PARSED, "the fork has parsed nothing"


def test_what_the_readme_shows_of_it_is_on_the_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    walked = [command for command, _ in commands((EXAMPLE / "README.md").read_text(encoding="utf-8"))]
    [block] = re.findall(r"^```sh\n((?:(?!```).*\n)*kill -KILL(?:(?!```).*\n)*)```$", readme, flags=re.MULTILINE)
    shown = [line.partition(" # ")[0].strip() for line in block.splitlines()]
    assert [line for line in shown if line] == [command for command in walked if command in shown]
