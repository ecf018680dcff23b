"""Statements over many rows: whole, in parts of few lengths, and ranges beside the obvious way of finding them."""

import sqlite3
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.queues.sqlite.holds import Hold, Return, settle, without
from factflow_engine.queues.sqlite.statements import ROWS_AT_A_TIME, parts_of, rows_beside, runs_of


@given(st.integers(0, 3000))
def test_parts_are_all_rows_in_their_order(count):
    rows = list(range(count))
    parts = [rows[part] for part in parts_of(count)]
    assert [row for part in parts for row in part] == rows
    assert all(0 < len(part) <= ROWS_AT_A_TIME for part in parts)


def test_parts_have_few_lengths():
    lengths = {part.stop - part.start for count in range(3000) for part in parts_of(count)}
    assert len(lengths) < 25, "each is compiled once"


@given(st.integers(1, 40), st.integers(-5, 5))
def test_rows_share_what_is_bound_once(count, shared):
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t(a, b, c, d)")
    statement = rows_beside("INSERT INTO t VALUES ", "(?1+{row},{},{},?2)", 2, count)
    own = [(place * 10, f"row {place}") for place in range(count)]
    connection.execute(statement, [shared, "all", *(value for row in own for value in row)])
    rows = connection.execute("SELECT * FROM t ORDER BY rowid").fetchall()
    assert rows == [(shared + place, number, text, "all") for place, (number, text) in enumerate(own)]
    connection.close()


@given(st.lists(st.integers(0, 30)).map(sorted))
def test_ranges_cover_the_numbers_and_nothing_else(numbers):
    runs = runs_of(numbers)
    covered = [number for low, high in runs for number in range(low, high + 1)]
    assert sorted(set(covered)) == sorted(set(numbers))
    if len(set(numbers)) == len(numbers):
        assert covered == numbers
        assert all(high + 1 < low for (_, high), (low, _) in pairwise(runs))


def settled_one_by_one(holds, acked):
    """The obvious way: each number for itself."""
    gone, after = [], []
    for hold in holds:
        taken = [number for number in range(hold.low, hold.high + 1) if acked.get(number) == hold.token]
        gone += taken
        after += [hold._replace(low=n, high=n) for n in range(hold.low, hold.high + 1) if n not in taken]
    return sorted(gone), sorted({(hold.low, hold.token) for hold in after})


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), max_size=5),
    st.dictionaries(st.integers(1, 25), st.integers(1, 3), max_size=12),
    st.booleans(),
)
def test_settling_takes_what_is_under_the_same_lease_and_nothing_else(sizes, acked, also_returns):
    holds, low = [], 1
    for size, token in sizes:
        holds.append(Hold(low, low + size - 1, 1, 9, token, 0))
        low += size
    returned = {99: (1, Return(0, True))} if also_returns else {}
    after, gone, back = settle(holds, acked, returned)
    expected_gone, expected_left = settled_one_by_one(holds, acked)
    assert (gone, back) == (expected_gone, 0)
    left = sorted((number, hold.token) for hold in after for number in range(hold.low, hold.high + 1))
    assert left == expected_left


@given(st.integers(1, 9), st.sets(st.integers(1, 9)))
def test_the_rest_of_a_hold_is_what_was_not_taken(high, taken):
    hold = Hold(1, high, 1, 0, 1, 0)
    inside = sorted(number for number in taken if number <= high)
    left = [number for part in without(hold, inside) for number in range(part.low, part.high + 1)]
    assert left == [number for number in range(1, high + 1) if number not in taken]
