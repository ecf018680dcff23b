"""Tests get a virtual clock as an argument: pytest-trio does not see the mark `usefixtures`, and such a test really waits."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent


def marked(source):
    """Give the lines whose `usefixtures` names a clock."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("usefixtures"):
            names = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
            if any("clock" in name for name in names):
                yield node.lineno


def test_no_test_asks_for_a_clock_by_a_mark():
    assert list(marked('import pytest\n@pytest.mark.usefixtures("x", "autojump_clock")\ndef test(): ...')) == [2]
    faults = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in sorted(TESTS.rglob("*.py"))
        for line in marked(path.read_text(encoding="utf-8"))
    ]
    assert faults == [], "make the clock an argument of the test"
