"""The page "Logging": its table has exactly the loggers and levels that the code uses."""

import ast

from support.doc_pages import DOCS, ROOT, tables

LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
NAMES = {"exception": "error", "log": "chosen"}


def used_in(path):
    """Return the logger and level of each call in a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    loggers = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Call):
            made = node.value
            if ast.unparse(made.func) == "logging.getLogger":
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                loggers[ast.unparse(target)] = ast.literal_eval(made.args[0]) if made.args else ""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
            owner = ast.unparse(node.func.value)
            if owner in loggers:
                yield loggers[owner], NAMES.get(node.func.attr, node.func.attr)


def test_the_table_has_every_logger_and_level_of_the_code_and_no_other():
    used = {use for path in (ROOT / "python").rglob("*.py") for use in used_in(path)}
    [rows] = tables(DOCS / "logging.md")
    said = {(name.strip("`"), "chosen" if level.startswith("that of") else level) for name, level, _ in rows}
    assert said == used
    assert len(rows) == len(said)


def test_no_module_logs_through_a_logger_that_the_table_would_not_see():
    """The loggers have the names of packages, not of private modules: an operator configures a handful."""
    for path in (ROOT / "python").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "getLogger(__name__)" not in text, path
        assert "logging.warning(" not in text, path
