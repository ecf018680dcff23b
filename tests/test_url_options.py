"""Paths and options of stores' URLs: what is read, and what is said of the rest."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.executions import ExecutionStoreUrlError
from factflow_engine.postgres.errors import PostgresUrlError
from factflow_engine.url_options import UrlOption, read_options, split_url, within
from factflow_protocols import LineageUrlError, QueueUrlError, StorageUrlError, without_password


class Wrong(Exception):
    def __init__(self, url, problem):
        super().__init__(f"{url}: {problem}")


OPTIONS = {
    "lease": UrlOption(attribute="lease_seconds", read=within(float, 0.1, 10), expected="seconds, at least 0.1"),
    "capacity": UrlOption(attribute="capacity", read=within(int, 1, 9), expected="a number, 1 to 9"),
}


ERRORS = (QueueUrlError, StorageUrlError, LineageUrlError, PostgresUrlError, ExecutionStoreUrlError)


@given(before=st.text(max_size=8), after=st.text(max_size=8), tail=st.sampled_from(["", "/db", "/db?schema=x"]))
def test_no_error_shows_the_password_of_its_url(before, after, tail):
    """Whatever characters it has: those that a URL may not have unescaped are the usual mistake."""
    for start in ("amqp://guest:", "guest:", "nosql:///guest:", "postgresql://h/db?password="):
        is_option = start.endswith("=")
        if is_option:
            before = before.replace("&", "")
        url = f"{start}{before}hunter2{after}" + ("" if is_option else f"@host{tail}")
        for error in ERRORS:
            text = str(error(url, "is wrong"))
            assert "hunter2" not in text
            assert "is wrong" in text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://guest:a/b#c?d:e@f@host/db", "amqp://guest:***@host/db"),
        ("amqp://guest@host", "amqp://guest@host"),
        ("postgresql://host:5432/db?password=x&schema=y", "postgresql://host:5432/db?password=***&schema=y"),
        ("postgresql://host/db?sslpassword=x", "postgresql://host/db?sslpassword=***"),
        ("sqlite:////home/me/queue.db?lease=1", "sqlite:////home/me/queue.db?lease=1"),
    ],
)
def test_a_url_is_shown_but_for_its_password(url, shown):
    assert without_password(url) == without_password(shown) == shown


def test_options_are_read_into_the_fields_that_they_set():
    assert read_options("u", "lease=2.5&capacity=3", OPTIONS, Wrong) == {"lease_seconds": 2.5, "capacity": 3}
    assert read_options("u", "", OPTIONS, Wrong) == {}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("leese=1", "u: has no option 'leese'; did you mean 'lease'?"),
        ("x=1", "u: has no option 'x'; there are lease, capacity"),
        ("lease=1&lease=2", "u: gives lease twice; once is enough"),
        ("lease=", "u: lease='' is not usable; expected seconds, at least 0.1"),
        ("capacity=1.5", "u: capacity='1.5' is not usable; expected a number, 1 to 9"),
    ],
)
def test_an_option_that_cannot_be_read_is_named(query, said):
    with pytest.raises(Wrong) as caught:
        read_options("u", query, OPTIONS, Wrong)
    assert str(caught.value) == said


@given(st.floats() | st.integers())
def test_a_number_is_within_its_bounds_or_refused(number):
    read = within(float, 0.1, 10)
    if math.isnan(number) or not 0.1 <= number <= 10:
        with pytest.raises(ValueError):
            read(repr(number))
    else:
        assert read(repr(number)) == number


@pytest.mark.parametrize(
    ("url", "path"), [("s:///a%3Fb", "a?b"), ("s:////a/b?x=1&y", "/a/b"), ("s:///", ""), ("s:///a%20b?", "a b")]
)
def test_a_path_is_decoded_and_its_query_kept(url, path):
    assert split_url(url, "s:///", "write s:///", Wrong) == (path, url.partition("?")[2])


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s://a", "write s:///"),
        ("s:///a#b", "write %23"),
        ("s:///%00", "bytes that no file name should have"),
        ("s:///%ff", "bytes that no file name should have"),
        ("s:///%0a", "bytes that no file name should have"),
    ],
)
def test_a_path_that_cannot_be_read_is_refused(url, said):
    with pytest.raises(Wrong, match=said):
        split_url(url, "s:///", "write s:///", Wrong)
