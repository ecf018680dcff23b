"""The page of operators: an example that the engine judges otherwise, or an operator left out, is noticed."""

import runpy

import pytest
from ruamel.yaml import YAML

from support.doc_pages import DOCS


@pytest.fixture
def page(tmp_path):
    """The page's lines, of a source with some text in another's place."""

    def lines(before="", after=""):
        module = runpy.run_path(str(DOCS / "operators.py"))
        text = (DOCS / "operators.yaml").read_text(encoding="utf-8")
        assert before in text
        (tmp_path / "operators.yaml").write_text(text.replace(before, after), encoding="utf-8")
        module["lines"].__globals__["SOURCE"] = tmp_path / "operators.yaml"
        return list(module["lines"]())

    return lines


def test_the_source_as_it_is_makes_the_page(page):
    assert "## `eq`" in page()


def test_an_example_that_is_judged_otherwise_is_refused(page):
    with pytest.raises(ValueError, match=r"operator: eq, value: DE\} of \{country: FR\} is False"):
        page('holds: ["{country: DE}"]', 'holds: ["{country: FR}"]')


def test_an_operator_without_a_row_is_refused(page):
    with pytest.raises(ValueError, match=r"expected .*'cidr'"):
        page("name: cidr", "name: lan")


def test_every_example_has_messages_of_both_kinds():
    source = YAML(typ="safe").load(DOCS / "operators.yaml")
    assert all(row["holds"] and row["fails"] for rows in source.values() for row in rows)
