"""The pages of the documentation, and the blocks of code that stand on them."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
WRITTEN = sorted(DOCS.glob("*.md"))
"""Pages that people write; those under `docs/reference` are generated."""
PAGES = sorted([*WRITTEN, *DOCS.glob("reference/*.md"), ROOT / "README.md", ROOT / "bench" / "README.md"])

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def name(page):
    return str(page.relative_to(ROOT))


def text(page):
    return page.read_text(encoding="utf-8")


def languages(page):
    """Return the languages of a page's blocks."""
    return {language for language, _ in _BLOCK.findall(text(page))}


def blocks(page, language):
    """Return a page's blocks of one language, in order."""
    return [block for its_language, block in _BLOCK.findall(text(page)) if its_language == language]


def without_blocks(page):
    return _BLOCK.sub("", text(page))


def files(page):
    """Return the blocks that begin with a comment of nothing but a file's name, by that name."""
    named = {}
    for _, block in _BLOCK.findall(text(page)):
        found = re.match(r"# ([\w.-]+\.\w+)\n", block)
        if found:
            named[found[1]] = block
    return named


def tables(page):
    """Return the cells of every table of a page, without the heads: for each table its rows."""
    found = re.findall(r"^\|.*\|\n\|[-|]+\|\n((?:\|.*\|\n)*)", without_blocks(page), flags=re.MULTILINE)
    return [[[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()] for table in found]
