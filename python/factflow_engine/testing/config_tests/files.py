"""Test files below what a command is given: a test file, a pipeline beside one, or a folder.

Kept separate from reading because it opens nothing.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from factflow_protocols import FactflowError

SUFFIXES: Final = (".test.yaml", ".test.yml", "_test.yaml", "_test.yml")
"""Endings of the names of test files."""

_SURE: Final = (".test.yaml", ".test.yml")
"""Endings that nothing else has."""


class NoTestsError(FactflowError):
    """Path at which there are no tests: the text says what was looked for."""


def find_test_files(paths: Sequence[Path]) -> list[Path]:
    """Return the test files that paths stand for, each once, in their order.

    Args:
        paths: Test files, pipelines whose tests lie beside them (`a.test.yaml` or `a_test.yaml` of `a.yaml`), or
            folders, of which all test files below are taken; hidden folders, and links to folders, are left out.

    Raises:
        NoTestsError: A path stands for none.
    """
    found: dict[Path, None] = {}
    for path in paths:
        own = list(_below(path)) if path.is_dir() else _of_file(path)
        if not own:
            raise NoTestsError(_nothing(path))
        found.update(dict.fromkeys(own))
    return list(found)


def _of_file(path: Path) -> list[Path]:
    if path.name.endswith(_SURE) or _has_tests(path):
        return [path]
    stem = path.name.removesuffix(".yaml").removesuffix(".yml")
    beside = [path.with_name(stem + suffix) for suffix in SUFFIXES]
    return [each for each in beside if each.exists()]


def _has_tests(path: Path) -> bool:
    """True if a file has the field `tests` at its top: a pipeline may be called `load_test.yaml`, too."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return any(line.startswith("tests:") for line in text.splitlines())


def _below(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if name.endswith(_SURE) or (name.endswith(SUFFIXES) and _has_tests(path)):
                yield path


def _nothing(path: Path) -> str:
    if path.is_dir():
        return f"expected tests below {path}, got none; their names end with {' or '.join(SUFFIXES)}"
    if not path.exists():
        return f"expected a test file, a pipeline or a folder, got {path}, which does not exist"
    stem = path.name.removesuffix(".yaml").removesuffix(".yml")
    return f"expected tests of {path}, got none; write them to {path.with_name(stem + '.test.yaml')}"
