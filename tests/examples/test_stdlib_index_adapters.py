import sysconfig
import warnings
from pathlib import Path

import pytest

from factflow_engine.adapters import AdapterDiscovery, ValidatingAdapterRegistry
from factflow_engine.testing.fakes import FakeContext, open_stage, outputs
from factflow_protocols import StatefulAdapter

ADAPTERS = Path(__file__).parents[2] / "examples" / "stdlib_index" / "adapters.py"
SOURCE = '''"""The module.

At length.
"""

class A:
    """The class."""

    async def b(self):
        """The method."""

        def inner():
            "Inside."

def undocumented():
    if True:
        try:
            pass
        except ValueError:
            def hidden():
                """In a branch."""
'''


@pytest.fixture
async def make(tmp_path):
    registry = ValidatingAdapterRegistry.empty()
    report = AdapterDiscovery(registry).from_file(ADAPTERS)
    assert report.problems == ()

    async def opened(type_name):
        with warnings.catch_warnings():
            adapter = registry.create(type_name)
        if isinstance(adapter, StatefulAdapter):
            await open_stage(adapter, tmp_path)
        return adapter

    return opened


async def test_every_docstring_of_a_file_comes_with_its_name_and_lines(make, tmp_path):
    (tmp_path / "mod.py").write_text(SOURCE)
    file = {"path": str(tmp_path / "mod.py"), "relative_path": "pkg/mod.py"}
    [parsed] = await outputs(await make("parse_python"), FakeContext(file))
    assert parsed["path"] == "pkg/mod.py"
    segments = parsed["segments"]
    assert [(s["kind"], s["name"], s["line"], s["end_line"], s["docstring"].split("\n")[0]) for s in segments] == [
        ("module", "pkg.mod", 1, 21, "The module."),
        ("class", "pkg.mod.A", 6, 13, "The class."),
        ("function", "pkg.mod.A.b", 9, 13, "The method."),
        ("function", "pkg.mod.A.b.inner", 12, 13, "Inside."),
        ("function", "pkg.mod.undocumented.hidden", 20, 21, "In a branch."),
    ]


@pytest.mark.parametrize("source", [b"print 'two'\n", b"# coding: uft-8\n", b"x = '\xff'\n", b"def f(:\n"])
async def test_a_file_that_is_no_python_fails_with_its_reason(make, tmp_path, source):
    (tmp_path / "bad.py").write_bytes(source)
    adapter = await make("parse_python")
    with pytest.raises(SyntaxError, match=r"\(bad\.py, line"):
        await outputs(adapter, FakeContext({"path": str(tmp_path / "bad.py"), "relative_path": "bad.py"}))


async def test_the_standard_library_is_walked_without_what_was_installed(make):
    files = await outputs(await make("stdlib_files"), FakeContext({}))
    paths = {file["relative_path"] for file in files}
    assert {"ast.py", "json/__init__.py"} <= paths
    assert not [path for path in paths if "site-packages" in path or "__pycache__" in path]
    assert all(file["path"].startswith(sysconfig.get_path("stdlib")) for file in files)


async def test_words_are_counted(make):
    assert await outputs(await make("count_words"), FakeContext({"docstring": "one  two\nthree"})) == [
        {"docstring": "one  two\nthree", "words": 3}
    ]
