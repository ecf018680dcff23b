"""A module that does not import is reported with the user's line, the error, and what to write instead."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from factflow_engine.adapters.importing import ImportProblem, ModuleImportError, import_file, import_named
from support.distributions import Site, open_site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with open_site(tmp_path, monkeypatch) as made:
        yield made


def problem(load: Callable[[], object]) -> ImportProblem:
    with pytest.raises(ModuleImportError) as caught:
        load()
    return caught.value.problem


def of_file(path: Path, source: str) -> ImportProblem:
    path.write_text(textwrap.dedent(source))
    return problem(lambda: import_file(path))


@pytest.mark.parametrize(
    ("source", "line", "error", "remedy"),
    [
        ("x = 1\nraise ValueError('half written')\n", 2, "ValueError: half written", "correct this line"),
        ("\nimport sys\nsys.exit('bye')\n", 3, "SystemExit: bye", "under if __name__ =="),
        ("def f():\n    raise SystemExit(3)\nf()\n", 2, "SystemExit: 3", "ends the program when it is imported"),
        ("x = (\ny = 1\n", 1, "SyntaxError: '(' was never closed", "correct the line"),
        ("if True:\nx = 1\n", 2, "IndentationError", "correct the line"),
        ("import json\n\njson.loads('no json')\n", 3, "JSONDecodeError", "correct this line"),
        ("from json import dumpz\n", 1, "cannot import name 'dumpz' from 'json'", "install a version of json"),
        ("from . import helpers\n", 1, "attempted relative import", "give its module's dotted name"),
        ("class Odd(BaseException): pass\nraise Odd('x')\n", 2, "Odd: x", "correct this line"),
        ("raise GeneratorExit\n", 1, "GeneratorExit", "correct this line"),
    ],
)
def test_an_error_at_import_names_the_line_and_the_remedy(
    tmp_path: Path, source: str, line: int, error: str, remedy: str
) -> None:
    file = tmp_path / "mine.py"
    found = of_file(file, source)
    assert (found.code, found.file, found.line) == ("E308", str(file), line)
    assert error in found.error
    assert remedy in found.remedy


def test_a_missing_package_is_named_with_what_to_install(tmp_path: Path) -> None:
    found = of_file(tmp_path / "mine.py", "import json\nimport no_such_package_anywhere.sub\n")
    assert (found.code, found.line, found.column) == ("E309", 2, 1)
    assert "No module named 'no_such_package_anywhere'" in found.error
    assert "python -m pip install no_such_package_anywhere" in found.remedy
    assert sys.prefix in found.remedy


def test_a_distribution_with_another_name_than_its_module_is_named(tmp_path: Path) -> None:
    assert "pip install opencv-python" in of_file(tmp_path / "mine.py", "import cv2\n").remedy


def test_the_installed_module_that_asked_is_named_beside_the_users_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site-packages"
    installed.mkdir()
    with open_site(installed, monkeypatch) as site:
        site.module("acme_lib/__init__.py", "x = 1\nimport no_such_package_anywhere\n")
        found = of_file(tmp_path / "mine.py", "\n\nimport acme_lib\n")
    assert found.place == f"{tmp_path / 'mine.py'}:3"
    assert f"which {installed / 'acme_lib/__init__.py'}:2 imports" in found.error


def test_a_module_beside_the_file_is_found_by_putting_its_folder_on_the_path(tmp_path: Path) -> None:
    (tmp_path / "helpers_beside.py").touch()
    found = of_file(tmp_path / "mine.py", "import helpers_beside\n")
    assert found.code == "E309"
    assert f"PYTHONPATH={tmp_path}" in found.remedy


def test_a_submodule_that_is_not_there_is_not_to_be_installed(tmp_path: Path) -> None:
    found = of_file(tmp_path / "mine.py", "import json.encodre\n")
    assert found.code == "E309"
    assert "json is there" in found.remedy
    assert "pip install" not in found.remedy


def test_a_circle_of_imports_is_named_with_its_modules(site: Site) -> None:
    site.module("circle_a.py", "from circle_b import b\na = 1\n")
    site.module("circle_b.py", "\nfrom circle_a import a\nb = 1\n")
    found = problem(lambda: import_named("circle_a"))
    assert found.place == f"{site.folder / 'circle_b.py'}:2"
    assert "partially initialized" in found.error
    assert "(circle_a.py -> circle_b.py -> circle_a.py)" in found.remedy


def test_a_module_that_is_nowhere_has_no_line_and_a_similar_one_is_suggested(site: Site) -> None:
    site.module("my_adapters_here.py", "")
    found = problem(lambda: import_named("my-adapters-here"))
    assert (found.code, found.file) == ("E309", "")
    assert "did you mean my_adapters_here?" in found.remedy
    assert problem(lambda: import_named("my_adaptres_here")).remedy.startswith("did you mean my_adapters_here?")


def test_a_module_that_is_nowhere_in_a_package_is_suggested_from_the_package(site: Site) -> None:
    site.module("pack_near/__init__.py", "")
    site.module("pack_near/adapters.py", "")
    found = problem(lambda: import_named("pack_near.adaptres"))
    assert found.error == "there is no module 'pack_near.adaptres'"
    assert found.remedy.startswith("did you mean pack_near.adapters?")


def test_the_name_of_a_distribution_leads_to_its_modules() -> None:
    found = problem(lambda: import_named("pytest-trio"))
    assert "pytest-trio is a distribution" in found.remedy
    assert "pytest_trio" in found.remedy


@pytest.mark.parametrize(
    ("source", "line", "called"),
    [
        ("import trio\nasync def main(): ...\ntrio.run(main)\n", 3, "trio.run()"),
        ("from trio import run as go\ngo(print)\n", 2, "go(), which leads to trio.run()"),
        ("import trio as t, sys\nsys.exit(t.run(print))\n", 2, "t.run(), which leads to trio.run()"),
        ("import asyncio\nif True:\n    asyncio.run(print)\n", 3, "asyncio.run()"),
        ("import anyio\ntry:\n    x = anyio.run(print)\nfinally: pass\n", 3, "anyio.run()"),
        (
            "import trio\ndef main():\n    start()\ndef start():\n    trio.run(print)\nmain()\n",
            6,
            "main(), which leads to",
        ),
        ("import trio\nclass Program:\n    trio.run(print)\n", 3, "trio.run()"),
        ("from factflow_engine.cli import main\nmain()\n", 2, "main(), which leads to factflow_engine.cli.main()"),
    ],
)
def test_a_program_is_recognised_and_not_run(tmp_path: Path, source: str, line: int, called: str) -> None:
    marker = tmp_path / "ran"
    file = tmp_path / "main.py"
    found = of_file(file, source + f"\nopen({str(marker)!r}, 'w')\n")
    assert (found.code, found.file, found.line) == ("E310", str(file), line)
    assert f"it calls {called}" in found.error
    assert 'if __name__ == "__main__":' in found.remedy
    assert not marker.exists()


@pytest.mark.parametrize(
    "source",
    [
        "import trio\nif __name__ == '__main__':\n    trio.run(print)\n",
        "import trio\nif '__main__' == __name__:\n    trio.run(print)\nelse:\n    x = 1\n",
        "import trio\ndef main():\n    trio.run(print)\n",
        "import trio\nrun = lambda: trio.run(print)\n",
        "class trio:\n    run = staticmethod(lambda f: None)\ntrio.run(print)\n",
        "import trio\nclass A:\n    def process(self):\n        trio.run(print)\n",
    ],
)
def test_a_module_that_only_could_run_a_program_is_imported(tmp_path: Path, source: str) -> None:
    file = tmp_path / "fine.py"
    file.write_text(source)
    assert import_file(file).__file__ == str(file)


async def test_a_program_that_hides_is_told_by_its_nested_run(tmp_path: Path) -> None:
    found = of_file(tmp_path / "main.py", "import trio\ngetattr(trio, 'run')(print)\n")
    assert (found.code, found.line) == ("E308", 2)
    assert "starts trio while it is imported" in found.remedy


def test_an_interrupt_is_not_taken_for_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "slow.py"
    file.write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        import_file(file)
    file.write_text("raise BaseExceptionGroup('of a nursery', [KeyboardInterrupt()])\n")
    with pytest.raises(BaseExceptionGroup):
        import_file(file)


def test_a_program_is_recognised_by_its_name_too(site: Site) -> None:
    site.module("packed_program/__init__.py", "")
    site.module("packed_program/main.py", "import trio\ntrio.run(print)\n")
    assert problem(lambda: import_named("packed_program.main")).code == "E310"
