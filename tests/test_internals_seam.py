"""Tests reach the engine's private parts through `support/internals.py` alone: who renames one changes one file."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent
SEAM = TESTS / "support" / "internals.py"


def private_parts(path):
    """Give each private attribute that a module takes of another object, with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            owner = ast.unparse(node.value)
            if owner not in {"self", "cls"} and not owner.startswith("super("):
                yield node.attr, f"{path.relative_to(TESTS)}:{node.lineno}: {owner}.{node.attr}"


def test_what_the_seam_has_is_reached_nowhere_else():
    known = {name for name, _ in private_parts(SEAM)}
    assert {"_lifecycle", "_writer", "_channels"} <= known
    faults = [
        place
        for path in sorted(TESTS.rglob("*.py"))
        if path != SEAM
        for name, place in private_parts(path)
        if name in known
    ]
    assert faults == [], "give support/internals.py a function for it"
