import errno
import os
import sys

import pytest
from pydantic import ValidationError

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.adapters.builtin import walk_directory
from factflow_engine.testing.fakes import FakeContext, open_stage, outputs
from factflow_protocols import Reject

REGISTRY = ValidatingAdapterRegistry()


@pytest.fixture
def tree(tmp_path):
    for name in ("b.py", "a.txt", "sub/c.py", "sub/deep/d.py", "sub/deep/e.md", "tests/f.py", ".hidden"):
        file = tmp_path / "tree" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.py").write_text("secret")
    return tmp_path / "tree"


async def walk(directory, **config):
    adapter = REGISTRY.create("walk_directory", config)
    await open_stage(adapter, directory)
    return await outputs(adapter, FakeContext())


async def names(tree, **config):
    return [file["relative_path"] for file in await walk(tree.parent, root="tree", **config)]


async def test_each_file_is_described(tree):
    assert (await walk(tree.parent, root="tree", include=["sub/c.py"])) == [
        {
            "path": str(tree / "sub" / "c.py"),
            "relative_path": "sub/c.py",
            "name": "c.py",
            "suffix": ".py",
            "size_bytes": 8,
        }
    ]


async def test_all_files_come_in_sorted_order(tree):
    assert await names(tree) == [".hidden", "a.txt", "b.py", "sub/c.py", "sub/deep/d.py", "sub/deep/e.md", "tests/f.py"]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"include": ["*.py"]}, ["b.py", "sub/c.py", "sub/deep/d.py", "tests/f.py"]),
        ({"include": ["/*.py"]}, ["b.py"]),
        ({"include": ["sub/**/*.py"]}, ["sub/c.py", "sub/deep/d.py"]),
        ({"include": ["sub/*"]}, ["sub/c.py"]),
        ({"include": ["*.py"], "exclude": ["tests"]}, ["b.py", "sub/c.py", "sub/deep/d.py"]),
        ({"include": ["*.py"], "exclude": ["sub/**"]}, ["b.py", "tests/f.py"]),
        ({"include": ["[a-c].*"]}, ["a.txt", "b.py", "sub/c.py"]),
        ({"include": ["*"], "exclude": ["*.py", ".*"]}, ["a.txt", "sub/deep/e.md"]),
    ],
)
async def test_globs_choose_files(tree, config, expected):
    assert await names(tree, **config) == expected


async def test_an_excluded_folder_is_not_entered(tree):
    adapter = REGISTRY.create("walk_directory", {"root": "tree", "exclude": ["tests"]})
    await open_stage(adapter, tree.parent)
    emitted = adapter.process(FakeContext()).emitted
    next(emitted)
    (tree / "tests" / "f.py").unlink()
    (tree / "tests").rmdir()  # listing it would fail
    assert "e.md" in [file.payload["name"] for file in emitted]


async def test_links_are_passed_over(tree):
    (tree / "link.py").symlink_to("b.py")
    (tree / "linked").symlink_to("sub")
    (tree / "out").symlink_to("../outside")
    assert await names(tree, include=["*.py"]) == ["b.py", "sub/c.py", "sub/deep/d.py", "tests/f.py"]


async def test_links_are_followed_within_the_root_each_folder_once(tree, caplog):
    (tree / "link.py").symlink_to("b.py")
    (tree / "a_linked").symlink_to("sub")
    (tree / "sub" / "up").symlink_to("..")
    (tree / "out").symlink_to("../outside")
    (tree / "out.py").symlink_to("../outside/secret.py")
    (tree / "nowhere.py").symlink_to("gone")
    (tree / "loop").symlink_to("loop")
    found = await names(tree, include=["*.py"], symlinks="follow")
    assert found == ["a_linked/c.py", "a_linked/deep/d.py", "b.py", "link.py", "tests/f.py"]
    assert [line for line in caplog.messages if "leads out of" in line and "out.py" in line]


async def test_a_root_that_is_no_folder_is_an_error(tree):
    for root in ("gone", "tree/b.py"):
        with pytest.raises(NotADirectoryError, match="is not a folder"):
            await walk(tree.parent, root=root)


async def test_a_folder_that_vanishes_meanwhile_fails_or_is_skipped(tree, caplog):
    adapters = {
        kind: REGISTRY.create("walk_directory", {"root": "tree", "on_error": kind}) for kind in ("fail", "skip")
    }
    emitted = {}
    for kind, adapter in adapters.items():
        await open_stage(adapter, tree.parent)
        emitted[kind] = adapter.process(FakeContext()).emitted
        assert next(emitted[kind]).payload["name"] == ".hidden"
    (tree / "tests" / "f.py").unlink()
    (tree / "tests").rmdir()
    with pytest.raises(FileNotFoundError):
        list(emitted["fail"])
    assert [file.payload["name"] for file in emitted["skip"]][-1] == "e.md"
    assert "is skipped" in caplog.messages[-1]


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes as a name")
async def test_a_name_that_is_no_text_is_rejected_or_skipped(tree):
    (tree / os.fsdecode(b"caf\xe9.py")).write_text("")
    with pytest.raises(Reject, match="no text"):
        await names(tree)
    assert "b.py" in await names(tree, on_error="skip")


async def test_names_beyond_ascii_are_text(tree):
    (tree / "ünïcode\u200b.py").write_text("")
    assert "ünïcode\u200b.py" in await names(tree)


async def test_walking_is_lazy(tree):
    adapter = REGISTRY.create("walk_directory", {"root": "tree"})
    await open_stage(adapter, tree.parent)
    emitted = adapter.process(FakeContext()).emitted
    next(emitted)
    (tree / "tests" / "new.py").write_text("")
    assert [file.payload["name"] for file in emitted][-1] == "new.py"


@pytest.mark.parametrize("pattern", ["../*.py", "a/../b", "sub/", "[ab", "[z-a]", ""])
def test_globs_that_mean_nothing_are_found_when_the_configuration_is(pattern):
    with pytest.raises(ValidationError):
        REGISTRY.validate_config("walk_directory", {"root": ".", "include": [pattern]})


async def test_a_file_that_cannot_be_looked_at_fails_or_is_skipped(tree, monkeypatch, caplog):
    described = walk_directory._described

    def refuse_one(relative, found):
        if relative == "sub/c.py":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), found.path)
        return described(relative, found)

    monkeypatch.setattr(walk_directory, "_described", refuse_one)
    with pytest.raises(PermissionError):
        await names(tree)
    assert await names(tree, on_error="skip") == [
        *(".hidden", "a.txt", "b.py", "sub/deep/d.py", "sub/deep/e.md", "tests/f.py")
    ]
    assert caplog.messages[-1] == f"{tree}/sub/c.py cannot be read: Permission denied; it is skipped"


async def test_a_link_that_cannot_be_followed_fails_or_is_skipped(tree, caplog):
    (tree / "link").symlink_to("x" * 300)  # longer than a name may be
    with pytest.raises(OSError, match="too long"):
        await names(tree, symlinks="follow")
    assert "b.py" in await names(tree, symlinks="follow", on_error="skip")
    assert "link cannot be read: File name too long; it is skipped" in caplog.messages[-1]


async def test_links_that_lead_nowhere_are_passed_over(tree):
    (tree / "gone").symlink_to("nowhere")
    (tree / "below").symlink_to("a.txt/x")
    (tree / "circle").symlink_to("circle")
    assert "b.py" in await names(tree, symlinks="follow")
