"""Plain scalars of YAML 1.2's core schema.

Kept separate from the parser because a value from the environment is resolved by the same rules, which are stricter
than ruamel's: `no` is a string, `010` is ten, a date is a string.
"""

import re
from typing import Final

from factflow_protocols import FactflowError

Scalar = str | int | float | bool | None

_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_OCTAL: Final = re.compile(r"0o[0-7]+")
_HEXADECIMAL: Final = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: Final[dict[str, Scalar]] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
    ".inf": float("inf"),
    ".Inf": float("inf"),
    ".INF": float("inf"),
    "+.inf": float("inf"),
    "+.Inf": float("inf"),
    "+.INF": float("inf"),
    "-.inf": float("-inf"),
    "-.Inf": float("-inf"),
    "-.INF": float("-inf"),
    ".nan": float("nan"),
    ".NaN": float("nan"),
    ".NAN": float("nan"),
}
_LONGEST_NUMBER: Final = 400
"""Longest number, in characters; longer ones have no more precision than a float, and take quadratic time to parse."""


class NumberTooLongError(FactflowError, ValueError):
    """Number with an absurd number of digits."""


def resolve_plain(text: str) -> Scalar:
    """Return the value of an unquoted scalar.

    Raises:
        NumberTooLongError: It looks like a number of more than 400 characters.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return int(_bounded(text))
    if _OCTAL.fullmatch(text):
        return int(_bounded(text), 0)
    if _HEXADECIMAL.fullmatch(text):
        return int(_bounded(text), 0)
    if _FLOAT.fullmatch(text):
        return float(_bounded(text))
    return text


def _bounded(text: str) -> str:
    if len(text) > _LONGEST_NUMBER:
        raise NumberTooLongError(f"a number of {len(text)} characters; the longest allowed has {_LONGEST_NUMBER}")
    return text
