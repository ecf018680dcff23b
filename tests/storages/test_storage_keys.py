"""Keys: what is one, and that what is one stays inside its store."""

import os.path
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.storages.keys import (
    LONGEST_KEY_BYTES,
    LONGEST_PART_BYTES,
    SIDECAR_ENDING,
    check_key,
    check_prefix,
    key_problem,
)
from factflow_protocols import StorageKeyError

TEXTS = st.text(st.one_of(st.sampled_from("/.\\ab\0\n\x7f\u2028\ufffe"), st.characters()), max_size=20)


@given(
    st.one_of(
        TEXTS, st.lists(st.sampled_from(["", ".", "..", "a", "b.meta.json", ".factflow-x", "~", "C:"])).map("/".join)
    )
)
def test_a_key_never_leaves_its_root_and_fits_a_file_name(text):
    if key_problem(text):
        with pytest.raises(StorageKeyError):
            check_key(text)
        return
    assert check_key(text) == text
    assert os.path.normpath("/root/" + text) == "/root/" + text
    assert len(text.encode()) <= LONGEST_KEY_BYTES
    for part in text.split("/"):
        assert 0 < len(part.encode()) + len(SIDECAR_ENDING) <= 255
        assert not part.endswith(SIDECAR_ENDING)
        assert not any(character < " " or character == "\x7f" for character in part)


@given(TEXTS)
def test_every_beginning_of_a_key_is_a_prefix(text):
    if not key_problem(text):
        for length in range(len(text) + 1):
            assert check_prefix(text[:length]) == text[:length]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "is empty"),
        ("/etc/passwd", "an empty part"),
        ("a//b", "an empty part"),
        ("a/", "an empty part"),
        ("a/../b", r"the part '\.\.'; write the path that is meant"),
        ("./a", r"the part '\.'"),
        ("a\\b", r"the character '\\\\'"),
        ("a\nb", r"the character '\\n'"),
        ("a\x85b", r"the character '\\x85'"),
        ("a\ud800", r"the character '\\ud800'"),
        ("a.meta.json", r"ends in \.meta\.json, which is for the metadata"),
        ("a.meta.json/b", r"ends in \.meta\.json"),
        (".factflow-locks/1", r"begins with \.factflow-"),
        ("a" * 201, "201 bytes; expected at most 200 between slashes"),
        ("/".join(["ä" * 90] * 6), r"the key has 1,085 bytes; expected at most 900"),
        ("a" * 1_000_000, r"1,000,000 characters"),
        (b"a", "expected a text as key, got bytes"),
        (None, "expected a text as key, got NoneType"),
    ],
)
def test_a_text_that_is_no_key_is_told_why(key, said):
    with pytest.raises(StorageKeyError, match=said):
        check_key(key)


@pytest.mark.parametrize("prefix", ["../", "/", "a//", "a/../b", "a\n", "x" * 201 + "/"])
def test_a_prefix_that_no_key_has_is_refused(prefix):
    with pytest.raises(StorageKeyError, match="no key begins so"):
        check_prefix(prefix)


def test_keys_may_have_all_else():
    for key in (
        "a",
        "a/b.c",
        "über/straße",
        "日本/語.json",
        " a ",
        "~",
        "-rf",
        "C:",
        "a%2Fb",
        "a?b#c*",
        "." + "a" * (LONGEST_PART_BYTES - 1),
    ):
        assert check_key(key) == key
    assert check_key(string.punctuation.replace("\\", "").replace("/", "")) != ""
