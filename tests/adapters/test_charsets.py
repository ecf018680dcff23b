import codecs
import contextlib
import encodings
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.adapters.builtin._charsets import CHARSETS, charset_parameter, find_charset


@pytest.mark.parametrize("name", sorted(CHARSETS))
def test_each_charset_is_a_codec_of_python_and_decodes_hostile_bytes_in_little_time(name):
    """Four hundred kilobytes that shift, nest and end early; an encoding that costs their square would take minutes."""
    assert find_charset(name) == name
    for body in (b"a" * 200_000 + b"-" + b"a" * 200_000, b"\x1b$B\x80~{" * 60_000, bytes(range(256)) * 1_600):
        before = time.thread_time()
        assert body.decode(name, "replace")
        decoder = codecs.getincrementaldecoder(name)("replace")
        with contextlib.suppress(UnicodeError):  # utf-16 and utf-32 want their mark first
            for start in range(0, 400_000, 8192):
                decoder.decode(body[start : start + 8192])
        assert time.thread_time() - before < 10


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("UTF-8", "utf_8"),
        ("utf8", "utf_8"),
        ("ISO-8859-1", "latin_1"),
        ("latin-1", "latin_1"),
        ("windows-1252", "cp1252"),
        ("Shift_JIS", "shift_jis"),
        ("us-ascii", "ascii"),
        ("utf-16le", "utf_16_le"),
        ("utf-32-be", "utf_32_be"),
        ("GB2312", "gb2312"),
        ("euc-jp", "euc_jp"),
    ],
)
def test_usual_names_are_known(name, codec):
    assert find_charset(name) == codec


@pytest.mark.parametrize(
    "name",
    [
        *("punycode", "idna", "utf-7", "utf_7", "unicode_escape", "raw-unicode-escape", "hex", "bz2", "zlib", "rot13"),
        *("uu", "undefined", "mbcs", "oem", "klingon", "aliases", "../utf_8", "ütf-8", "", "a" * 41),
    ],
)
def test_what_is_no_plain_charset_is_not_known(name):
    assert find_charset(name) is None


def test_asking_for_a_name_imports_and_remembers_nothing():
    before = len(encodings._cache)  # type: ignore[attr-defined]
    for number in range(50):
        assert find_charset(f"x-{number}") is None
    assert len(encodings._cache) == before  # type: ignore[attr-defined]


@given(st.text(max_size=50))
def test_no_name_breaks_anything(name):
    codec = find_charset(name)
    assert codec is None or codec in CHARSETS


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("text/plain; charset=utf-8", "utf-8"),
        ('text/html;Charset="ISO-8859-1"; x=y', "ISO-8859-1"),
        ("text/plain; x=y;charset = koi8-r", "koi8-r"),
        ("text/plain", None),
        ("text/plain; charset=", None),
        ("", None),
    ],
)
def test_the_charset_stands_in_the_content_type(content_type, charset):
    assert charset_parameter(content_type) == charset


@pytest.mark.parametrize("filler", [";", '";', "; charset", "; charset =", " ", ";\t", "="])
def test_a_long_content_type_is_read_in_little_time(filler):
    before = time.thread_time()
    charset_parameter('text/plain;"' + filler * 100_000)
    assert time.thread_time() - before < 1
