"""The prose of the Python sources: openings of docstrings, and the words that messages use."""

import ast
import re
from pathlib import Path

import pytest

PYTHON = Path(__file__).parent.parent / "python"
SOURCES = sorted([*PYTHON.rglob("*.py"), *PYTHON.rglob("*.pyi")])
OPENING = re.compile(r"(What|Who|Whose|Whether|How|It)\b")
APART = re.compile(r"\bapart (?:from|because)\b", re.IGNORECASE)
CAME = re.compile(r"\bexpected\b[^\n]*, came\b")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def faults_of(text):
    """Return the docstrings and messages that a reader would stumble over."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED):
            found = ast.get_docstring(node)
            if found is not None and OPENING.match(found):
                yield found.splitlines()[0]
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and (APART.search(node.value) or CAME.search(node.value)):
            yield next(line for line in node.value.splitlines() if APART.search(line) or CAME.search(line))


def test_docstrings_open_with_imperatives_and_nouns_and_messages_say_what_they_got():
    assert len(SOURCES) > 200
    faults = [(str(path.relative_to(PYTHON)), fault) for path in SOURCES for fault in faults_of(path.read_text())]
    assert faults == [], (
        'expected "Return ...", "True if ..." or a noun first, "kept separate", and "expected X, got Y"'
    )


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('"""What a table is."""', 1),
        ('def holds():\n    """Whether it holds."""', 1),
        ('class A:\n    """How a message ended."""', 1),
        ('def holds():\n    """True if it holds.\n\n    What else is said does not count.\n    """', 0),
        ('"""A loop.\n\nApart from the adapters.\n"""', 1),
        ('raise ValueError("expected one, came two")', 1),
        ('raise ValueError(f"{name}: expected one, came {two}")', 1),
        ('raise ValueError("expected one, got two")  # it came apart from others', 0),
        ('"""Italics."""', 0),
    ],
)
def test_the_reader_finds_what_the_rule_forbids(text, count):
    assert len(list(faults_of(text))) == count
