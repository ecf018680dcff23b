"""Texts of a JSON Schema's formats and patterns.

Kept separate from `schemas` because it is a table: a format that is not in it is a remark, as the specification has it.
"""

import datetime as dt
import re
from collections.abc import Mapping
from typing import Final

from hypothesis import strategies as st

from factflow_engine.testing.strategies.errors import UnsupportedSchemaError

_FIRST: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - hypothesis adds the time zone
_MOMENTS: Final = st.datetimes(_FIRST, timezones=st.just(dt.UTC))
_HOSTS: Final = st.from_regex(r"[a-z][a-z0-9]{0,7}(\.[a-z]{2,4})?", fullmatch=True)

FORMATS: Final[Mapping[str, st.SearchStrategy[str]]] = {
    "date": st.dates(_FIRST.date()).map(str),
    "date-time": _MOMENTS.map(dt.datetime.isoformat),
    "time": _MOMENTS.map(lambda moment: moment.timetz().isoformat()),
    "duration": st.integers(0, 10_000).map(lambda seconds: f"PT{seconds}S"),
    "email": st.from_regex(r"[a-z][a-z0-9]{0,7}@[a-z]{1,8}\.[a-z]{2,4}", fullmatch=True),
    "field-path": st.sampled_from(("id", "name", "kind", "total", "tags", "a.b")),
    "hostname": _HOSTS,
    "ipv4": st.ip_addresses(v=4).map(str),
    "ipv6": st.ip_addresses(v=6).map(str),
    "uri": _HOSTS.map(lambda host: f"https://{host}/"),
    "uuid": st.uuids().map(str),
}
"""Texts by format; `field-path` is a path of a message's field, as built-in adapters have it."""


def matching(pattern: str, path: str) -> st.SearchStrategy[str]:
    """Return a strategy for texts in which a pattern is found; `$` is the end of the text, digits are those of ASCII.

    Raises:
        UnsupportedSchemaError: It is no pattern of Python's.
    """
    # In Python `$` is also before a last line feed, in JSON Schema it is not.
    ended = re.sub(r"(?<!\\)((?:\\\\)*)\$$", r"\1\\Z", pattern)
    try:
        compiled = re.compile(ended, re.ASCII)
    except re.error as error:
        raise UnsupportedSchemaError(
            path, f"expected a pattern that Python can read, got {pattern!r}: {error}"
        ) from None
    return st.from_regex(compiled, alphabet=st.characters(codec="utf-8"))
