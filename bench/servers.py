"""Stores on a PostgreSQL server that `FACTFLOW_BENCH_POSTGRES` names by its URL, each in a schema of its own.

Kept separate from the suites because the server is not theirs: it is measured if it is there, and left as it was.
"""

import atexit
import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from factflow_engine import open_lineage
from factflow_protocols import ReadableLineage

_VARIABLE = "FACTFLOW_BENCH_POSTGRES"
_numbers = count(1)


def is_there() -> bool:
    """True if a server was named."""
    return _VARIABLE in os.environ


def open_store(url: str) -> ReadableLineage:
    """Return the store of a URL."""
    store = open_lineage(url)
    if not isinstance(store, ReadableLineage):
        raise TypeError(f"{_VARIABLE} names a {type(store).__name__}, which cannot be read")
    return store


@contextmanager
def schema() -> Iterator[str]:
    """URL of a schema that is dropped after the block."""
    url, name = _new()
    try:
        yield url
    finally:
        _drop(name)


def store_until_exit() -> ReadableLineage:
    """Return a store whose schema is dropped when the program ends."""
    url, name = _new()
    atexit.register(_drop, name)
    return open_store(url)


def _new() -> tuple[str, str]:
    url, name = os.environ[_VARIABLE], f"factflow_bench_{os.getpid()}_{next(_numbers)}"
    return f"{url}{'&' if '?' in url else '?'}schema={name}", name


def _drop(name: str) -> None:
    psycopg: Any = importlib.import_module("psycopg")
    with psycopg.connect(os.environ[_VARIABLE], autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')
