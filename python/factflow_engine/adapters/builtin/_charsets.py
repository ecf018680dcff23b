"""Text encodings that built-in adapters decode: those with incremental decoding in linear time.

Python's registry of codecs also holds transformations that take quadratic time (punycode, idna) or hold all of their
input back (utf-7). Looking up an unknown name imports modules and caches the name for ever, which is unsafe for a name
that a server or an untrusted file chooses. Kept separate because files and HTTP bodies need the same list.
"""

import re
from encodings import normalize_encoding
from encodings.aliases import aliases
from typing import Annotated, Final

from pydantic import AfterValidator

CHARSETS: Final = frozenset(
    [
        "ascii",
        "latin_1",
        "utf_8",
        "utf_8_sig",
        "utf_16",
        "utf_16_be",
        "utf_16_le",
        "utf_32",
        "utf_32_be",
        "utf_32_le",
        "iso8859_2",
        "iso8859_3",
        "iso8859_4",
        "iso8859_5",
        "iso8859_6",
        "iso8859_7",
        "iso8859_8",
        "iso8859_9",
        "iso8859_10",
        "iso8859_11",
        "iso8859_13",
        "iso8859_14",
        "iso8859_15",
        "iso8859_16",
        "cp037",
        "cp273",
        "cp424",
        "cp437",
        "cp500",
        "cp720",
        "cp737",
        "cp775",
        "cp850",
        "cp852",
        "cp855",
        "cp856",
        "cp857",
        "cp858",
        "cp860",
        "cp861",
        "cp862",
        "cp863",
        "cp864",
        "cp865",
        "cp866",
        "cp869",
        "cp874",
        "cp875",
        "cp1006",
        "cp1026",
        "cp1125",
        "cp1140",
        "cp1250",
        "cp1251",
        "cp1252",
        "cp1253",
        "cp1254",
        "cp1255",
        "cp1256",
        "cp1257",
        "cp1258",
        "koi8_r",
        "koi8_t",
        "koi8_u",
        "kz1048",
        "mac_cyrillic",
        "mac_greek",
        "mac_iceland",
        "mac_latin2",
        "mac_roman",
        "mac_turkish",
        "ptcp154",
        "tis_620",
        "hp_roman8",
        "big5",
        "big5hkscs",
        "cp932",
        "cp949",
        "cp950",
        "euc_jis_2004",
        "euc_jisx0213",
        "euc_jp",
        "euc_kr",
        "gb18030",
        "gb2312",
        "gbk",
        "hz",
        "iso2022_jp",
        "iso2022_jp_1",
        "iso2022_jp_2",
        "iso2022_jp_2004",
        "iso2022_jp_3",
        "iso2022_jp_ext",
        "iso2022_kr",
        "johab",
        "shift_jis",
        "shift_jis_2004",
        "shift_jisx0213",
    ]
)
"""Names of Python's codecs, spelled as its modules are."""

_LONGEST_NAME: Final = 40
# Parameters of a content type are well below this length; a server may send a hundred kilobytes.
_LONGEST_CONTENT_TYPE: Final = 1000
_CHARSET_PARAMETER: Final = re.compile(r""";\s*charset\s*=\s*["']?([^\s;"',]+)""", re.IGNORECASE)


def find_charset(name: str) -> str | None:
    """Return the codec of a character set, by any of its usual names; None unless it is in `CHARSETS`."""
    if len(name) > _LONGEST_NAME or not name.isascii():
        return None
    normal = normalize_encoding(name).lower()
    codec = aliases.get(normal) or aliases.get(normal.replace(".", "_")) or normal
    return codec if codec in CHARSETS else None


def charset_parameter(content_type: str) -> str | None:
    """Return the charset that a Content-Type header names, as written; None if it names none."""
    found = _CHARSET_PARAMETER.search(content_type[:_LONGEST_CONTENT_TYPE])
    return found[1] if found else None


def _known(name: str) -> str:
    if find_charset(name) is None:
        raise ValueError(
            f"unknown text encoding {name!r}; write a character set such as utf-8, utf-16, latin-1, windows-1252 or "
            "shift_jis (transformations such as punycode or unicode_escape are not read)"
        )
    return name


Encoding = Annotated[str, AfterValidator(_known)]
"""A pydantic field that holds the name of a character set."""
