"""The page "Determinism": its programs print what it shows, and its tables are the boundary that the kit has as data."""

import re

from factflow_engine.testing.simulation import boundary
from support.doc_pages import DOCS, tables, text
from support.printed_programs import assert_programs_print_what_is_shown

PAGE = DOCS / "determinism.md"


def test_the_programs_print_what_the_page_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_programs_print_what_is_shown(PAGE, outputs=2)


def test_the_tables_are_the_boundary():
    seams, exceptions, replaced, escapes = tables(PAGE)
    assert seams == [[f"`{name}`", *each] for name, each in boundary.SEAMS.items()]
    assert exceptions == [[f"`{name}`", why] for name, why in boundary.EXCEPTIONS.items()]
    assert replaced == [[name, *each] for name, each in boundary.REPLACED.items()]
    assert escapes == [[name, *each] for name, each in boundary.ESCAPES.items()]


def test_every_banned_name_is_on_the_page_with_its_seam():
    [told] = re.findall(r"^Lint bans (.*?)\n\n", text(PAGE), re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`([\w.]+)`", told))
    for name, seam in boundary.BANNED.items():
        assert seam in named
        assert {name, name.partition(".")[0]} & named, name
