"""The prose of the Python sources: openings of docstrings, and the words that docstrings, comments and messages use."""

import ast
import io
import itertools
import re
import tokenize
from pathlib import Path

import pytest

PYTHON = Path(__file__).parent.parent / "python"
SOURCES = sorted([*PYTHON.rglob("*.py"), *PYTHON.rglob("*.pyi")])
OPENING = re.compile(r"(What|Who|Whose|Whether|How|It|Where|When|Which|Why|That)\b")
FUNCTION_OPENING = re.compile(
    r"(A|An|The|All|One|Each|Every|Of|If|In|As|By|From|For|With|Not|Neither|Both|This|Unless|Also|And|Or|Called)\b|`"
)
WORDS = re.compile(
    r"\bapart (?:from|because)\b"  # means "except for": write "kept separate"
    r"|\b(?:last words|speaks? for (?:all|itself)|told of|sign of life|holds? nobody up|whoever (?:comes|is told))\b",
    re.IGNORECASE,
)
COMMENT = re.compile(rf"#.*(?:{WORDS.pattern})|#\s*(?:What|Who|Whose|Whether)\b", re.IGNORECASE)
CAME = re.compile(r"\bexpected\b[^\n]*\bcame\b")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings(tree):
    """Yield each docstring with its owner, those of attributes too: a string after an assignment."""
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            yield node, ast.get_docstring(node)
        body = getattr(node, "body", None)
        for before, statement in itertools.pairwise(body) if isinstance(body, list) else ():
            is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if is_text and isinstance(statement.value.value, str):
                yield before, statement.value.value


def is_function(node):
    """True for what is called: a property is described by a noun, as an attribute is."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return isinstance(node, functions) and not any("property" in ast.unparse(one) for one in node.decorator_list)


def faults_of(text):
    """Return the docstrings, comments and messages that a reader would stumble over."""
    tree = ast.parse(text)
    for owner, found in docstrings(tree):
        if OPENING.match(found) or (is_function(owner) and FUNCTION_OPENING.match(found)):
            yield found.splitlines()[0]
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and (WORDS.search(node.value) or CAME.search(node.value)):
            yield next(line for line in node.value.splitlines() if WORDS.search(line) or CAME.search(line))
    for token in tokenize.generate_tokens(io.StringIO(text).readline) if COMMENT.search(text) else ():
        comment = token.string.lstrip("# ")
        if token.type == tokenize.COMMENT and (
            WORDS.search(comment) or re.match(r"(What|Who|Whose|Whether)\b", comment)
        ):
            yield token.string


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
        ('LIMIT = 1\n"""How much may be kept."""', 1),
        ('class A:\n    ok = 0\n    """It did what was asked."""', 1),
        ('class A:\n    ok = 0\n    """Success."""', 0),
        ('def limit():\n    """The limit of a route."""', 1),
        ('@property\ndef limit():\n    """The limit of a route."""', 0),
        ('"""Where a command is."""', 1),
        ('def holds():\n    """True if it holds.\n\n    What else is said does not count.\n    """', 0),
        ('"""A loop.\n\nApart from the adapters.\n"""', 1),
        ("held = 1  # apart from the loop's", 1),
        ("# Whether it holds.\nheld = 1", 1),
        ('raise ValueError("expected one, came two")', 1),
        ('raise ValueError("a dot was expected here, two came")', 1),
        ('raise ValueError(f"{name}: expected one, came {two}")', 1),
        ('raise ValueError("expected one, got two")  # it came apart, as others', 0),
        ('"""Italics."""', 0),
    ],
)
def test_the_reader_finds_what_the_rule_forbids(text, count):
    assert len(list(faults_of(text))) == count


@pytest.mark.parametrize("storey", ["execution", "transport", "hop", "stages"])
def test_the_index_of_a_storey_names_each_of_its_modules(storey):
    folder = PYTHON / "factflow_engine" / "runtime" / storey
    named = set(re.findall(r"`(\w+)`", (folder / "__init__.py").read_text()))
    assert {path.stem for path in folder.glob("*.py")} - {"__init__"} - named == set()
