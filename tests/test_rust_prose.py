"""The prose of the Rust sources: openings of documentation, and the words that messages use."""

import re
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parent.parent / "rust").rglob("*.rs"))
DOCUMENTATION = re.compile(r"\s*//[/!]")
OPENING = re.compile(
    r"\s*//[/!] (?:(?:What|Who|Whose|Whether|How|It|Its|They|Those|So many|Where|When|Which|Why)\b|By \w+: )"
)
APART = re.compile(r"//.*\bapart (?:from|because)\b", re.IGNORECASE)
CAME = re.compile(r'"[^"]*\bexpected\b[^"]*, came\b')


def faults_of(text):
    """Return the lines that a reader would stumble over."""
    before = ""
    for line in text.splitlines():
        begins = not DOCUMENTATION.match(before)
        if (begins and OPENING.match(line)) or APART.search(line) or CAME.search(line):
            yield line.strip()
        before = line


def test_rust_documentation_opens_with_imperatives_and_nouns_and_messages_say_what_they_got():
    assert len(SOURCES) > 50
    faults = [(path.name, line) for path in SOURCES for line in faults_of(path.read_text())]
    assert faults == [], (
        'expected "Return ...", "True if ..." or a noun first, "kept separate", and "expected X, got Y"'
    )


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("/// Whether it holds.\nfn holds()", 1),
        ("//! What a table is.", 1),
        ("/// Where a field is.\nstruct Field", 1),
        ("/// True if it holds.\n/// What else is said does not count.\nfn holds()", 0),
        ("//! Kept apart. Apart from the loop.", 1),
        ('format!("expected {one}, came {two}")', 1),
        ('format!("expected {one}, got {two}") // it came', 0),
        ("/// Italics.", 0),
        ("/// By slot: the level of the array there.\nlevels: Vec<usize>", 1),
        ("/// Those that failed.", 1),
        ("/// Levels of arrays, by slot.", 0),
    ],
)
def test_the_reader_finds_what_the_rule_forbids(text, count):
    assert len(list(faults_of(text))) == count
