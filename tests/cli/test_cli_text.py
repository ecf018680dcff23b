import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.cli.text import clean, plural


@given(st.text(st.characters()))
def test_cleaned_text_has_nothing_that_a_terminal_obeys(text: str) -> None:
    assert clean(text).isprintable()


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"])))
def test_printable_text_is_left_alone(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31m", r"\x1b[31m"),
        ("a\nb", r"a\nb"),
        ("\u202egnp", r"\u202egnp"),
        ("\ud800", r"\ud800"),
        ("\u2028", r"\u2028"),
        ("naïve 漢字 🙂", "naïve 漢字 🙂"),
    ],
)
def test_what_cannot_be_shown_is_escaped(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_a_limit_cuts_before_escaping() -> None:
    assert clean("abcdef", limit=3) == "abc..."
    assert clean("abc", limit=3) == "abc"
    assert clean("\n\n\n\n", limit=2) == r"\n\n..."


def test_counts_agree_with_their_nouns() -> None:
    assert plural(1, "message") == "1 message"
    assert plural(1200, "message") == "1,200 messages"
