"""Tables: names and numbers are whole in every layout and at every width."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from factflow_engine.cli.settings import Layout
from factflow_engine.cli.tables import Cell, Column, Table, names, numbers, prose

LONG = "exec:a-rather-long-execution-id:/queue/with/a/name/of/more/than/eighty/characters/as/there/are"
PROSE = "several words that may be broken between words and take more than a line of a terminal"


def printed(table, layout, *, width=80, terminal=True):
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    table.print(console, layout)
    return console.file.getvalue()


@pytest.fixture
def table():
    table = Table(*names("queue"), *numbers("waiting"), *prose("what"))
    table.add(LONG, 1234567, PROSE)
    return table


@pytest.mark.parametrize("width", [1, 40, 80, 200])
@pytest.mark.parametrize("layout", [Layout.TEXT, Layout.WIDE])
@pytest.mark.parametrize("terminal", [True, False])
def test_names_and_numbers_are_whole(table, layout, width, terminal):
    text = printed(table, layout, width=width, terminal=terminal)
    assert LONG in text
    assert "1,234,567" in text


def test_prose_is_wrapped_at_the_terminals_width():
    table = Table(*names("name"), *prose("what"))
    table.add("short", PROSE)
    lines = printed(table, Layout.TEXT, width=40).splitlines()
    assert max(map(len, lines)) <= 40
    assert " ".join(line.removeprefix(" short").strip() for line in lines[3:]).strip() == PROSE


@pytest.mark.parametrize("terminal", [True, False])
def test_no_line_ends_in_spaces_that_a_narrow_terminal_would_break(terminal):
    table = Table(*names("name"), *prose("what"), Column(title="extra", optional=True))
    table.add("short", PROSE, "")
    table.add(LONG, "a word", "x")
    table.add("", "", "")
    lines = printed(table, Layout.TEXT, terminal=terminal).splitlines()
    assert [line for line in lines if line != line.rstrip()] == []


def test_the_counts_of_a_route_fit_into_80_columns():
    counts = ("received", "completed", "filtered", "dead-lettered", "failed", "emitted", "left")
    table = Table(*names("route"), *numbers(*counts))
    table.add("fetcher", *range(7))
    assert max(map(len, printed(table, Layout.TEXT).splitlines())) <= 80


def test_wide_is_a_line_a_row(table):
    [row] = [line for line in printed(table, Layout.WIDE).splitlines() if LONG in line]
    assert PROSE in row


@pytest.mark.parametrize("terminal", [True, False])
def test_plain_has_tabs_and_bare_numbers_and_no_headings(table, terminal):
    assert printed(table, Layout.PLAIN, terminal=terminal) == f"{LONG}\t1234567\t{PROSE}\n"


def test_optional_columns_are_left_out_while_they_are_empty_except_of_plain():
    table = Table(*names("name"), Column(title="subscription", optional=True))
    table.add("a", "")
    assert "subscription" not in printed(table, Layout.TEXT)
    assert printed(table, Layout.PLAIN) == "a\t\n"
    table.add("b", Cell("audit", "bold"))
    assert "subscription" in printed(table, Layout.TEXT)


def test_a_row_has_a_cell_for_each_column():
    with pytest.raises(ValueError, match="expected 1 cells, got 2"):
        Table(*names("name")).add("a", "b")


@given(
    rows=st.lists(st.tuples(st.text(max_size=120), st.integers(0, 10**12), st.text(max_size=300)), max_size=5),
    width=st.integers(1, 200),
    layout=st.sampled_from([Layout.TEXT, Layout.WIDE, Layout.PLAIN]),
    terminal=st.booleans(),
)
def test_any_text_is_printed_without_tabs_or_line_ends_of_its_own(rows, width, layout, terminal):
    table = Table(*names("a"), *numbers("b"), *prose("c"))
    for row in rows:
        table.add(*row)
    lines = printed(table, layout, width=width, terminal=terminal).split("\n")[:-1]
    if layout is Layout.PLAIN:
        assert [len(line.split("\t")) for line in lines] == [3] * len(rows)
    for name, number, _ in rows:
        shown = Cell(name).shown.plain
        assert any(shown in line and (f"{number:,}" in line or str(number) in line) for line in lines)


@pytest.mark.parametrize("columns", ["0", "abc", "-3", "²", "٣", " ", "40", "100000"])
def test_no_width_breaks_a_command(factflow, columns):
    for output in ("text", "plain", "wide", "json"):
        said = factflow("config", "codes", "--output", output, env={"COLUMNS": columns, "LINES": columns})
        assert said.status == 0
        assert "W202" in said.out
