"""Paths and options of stores' URLs: `sqlite:///path?name=value`.

Kept separate from the stores because all that lie in files read their URLs in this way. URLs come from configurations
and command lines and are untrusted.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote

Number = TypeVar("Number", int, float)

UrlError = Callable[[str, str], Exception]
"""Makes the error of a URL that its author must change, from the URL and the problem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlOption:
    """An option of a URL.

    Attributes:
        attribute: Field of the settings that it sets.
        read: Returns the field's value from the text; raises ValueError if the text is not usable.
        expected: The expected value in words, such as `seconds, 0 or more`.
    """

    attribute: str
    read: Callable[[str], Any]
    expected: str


def within(kind: type[Number], least: Number, most: Number) -> Callable[[str], Number]:
    """Return a reader of numbers from `least` to `most`, for `UrlOption.read`."""

    def read(text: str) -> Number:
        value = kind(text)
        if not least <= value <= most:  # not a number is not within either
            raise ValueError
        return value

    return read


def split_url(url: str, prefix: str, form: str, error: UrlError) -> tuple[str, str]:
    """Return the path of a URL, decoded, and its query.

    Args:
        url: The URL as written. `%xx` in the path stands for any byte, a literal `?` included.
        prefix: The URL's beginning before the path, such as `sqlite:///`.
        form: The problem to report if it begins otherwise: what to write instead.
        error: Makes the error to raise.

    Raises:
        Exception: The URL is malformed; of `error`.
    """
    if not url.startswith(prefix):
        raise error(url, form)
    if "#" in url:
        raise error(url, "has a '#'; write %23 for one that is part of the path")
    location, _, query = url.removeprefix(prefix).partition("?")
    try:
        path = unquote(location, errors="strict")
    except UnicodeDecodeError:
        path = "\0"
    if not path.isprintable():
        raise error(url, "its path has bytes that no file name should have; write a plain path")
    return path, query


def read_options(url: str, query: str, options: Mapping[str, UrlOption], error: UrlError) -> dict[str, Any]:
    """Return the values that a URL's query gives, by the fields of the settings that they set.

    Args:
        url: The URL as written, for the error.
        query: What follows its `?`.
        options: The options that there are, by their names in the URL.
        error: Makes the error to raise.

    Raises:
        Exception: An option is unknown, given twice, or has an unusable value; of `error`.
    """
    found: dict[str, Any] = {}
    for name, text in parse_qsl(query, keep_blank_values=True):
        option = options.get(name)
        if option is None:
            near = difflib.get_close_matches(name, options, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(options)}"
            raise error(url, f"has no option {name!r}; {hint}")
        if option.attribute in found:
            raise error(url, f"gives {name} twice; once is enough")
        try:
            found[option.attribute] = option.read(text)
        except ValueError:
            raise error(url, f"{name}={text!r} is not usable; expected {option.expected}") from None
    return found
