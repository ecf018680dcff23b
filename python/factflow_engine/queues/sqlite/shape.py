"""Comparison of a file's tables with those that `schema` makes.

Kept separate from `fsck` because nothing else can be checked if a table is missing or has other columns.
"""

import re
import sqlite3
from contextlib import closing
from typing import NamedTuple

from factflow_engine.queues.sqlite.schema import TABLES


class Part(NamedTuple):
    """A table or an index: its kind, its name, and the statement that makes it."""

    kind: str
    name: str
    sql: str


def missing_parts(connection: sqlite3.Connection) -> list[Part]:
    """Return the missing tables and indexes, tables first."""
    there = {part.name for part in _parts(connection)}
    return [part for part in _made() if part.name not in there]


def misshapen_parts(connection: sqlite3.Connection) -> list[Part]:
    """Return the tables and indexes that exist with another definition."""
    made = {part.name: _plain(part) for part in _made()}
    return [part for part in _parts(connection) if part.name in made and _plain(part) != made[part.name]]


def triggers(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the name and table of each trigger on the engine's tables, which should have none."""
    tables = {part.name for part in _made()}
    rows = connection.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' ORDER BY name")
    return [(name, table) for name, table in rows if table in tables]


def _made() -> list[Part]:
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in TABLES:
            connection.execute(statement)
        return sorted(_parts(connection), key=lambda part: part.kind, reverse=True)


def _parts(connection: sqlite3.Connection) -> list[Part]:
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql NOT NULL AND type <> 'trigger'")
    return [Part(*row) for row in rows]


def _plain(part: Part) -> str:
    """Return the statement without comments, on one line."""
    return part.kind + " ".join(re.sub("--[^\n]*", "", part.sql).split())
