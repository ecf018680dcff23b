"""SQL of the user over all segments, which can only read.

The segments are attached to an empty database, and two temporary views show their rows as one. Then everything but
reading is refused while SQLite compiles the query (`set_authorizer`), the query is stopped after its time by a callback
of SQLite, and neither a value nor the result can grow without bound.

SQLite attaches ten databases at most, as a rule. The largest segments are attached; the rows of the others are copied
into a temporary file, within the query's time.

Kept separate from `pages` because nothing of its SQL is ours. Everything here blocks.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from factflow_engine.lineage.sqlite.merging import ENDS, VISITS, Rows
from factflow_engine.lineage.sqlite.pool import Pool, read_only_uri, restrict
from factflow_engine.lineage.sqlite.schema import selected
from factflow_engine.lineage.sqlite.superseded import Stage, superseded_keys
from factflow_engine.sqlite_files import Connection
from factflow_protocols import LineageError, QueryResult

_STEPS: Final = 20_000
"""Instructions of SQLite between two looks at the clock: about a millisecond."""

_MOST_BYTES: Final = 64 << 20
"""Bytes of a result."""

_LONGEST_QUERY: Final = 1 << 20

_VIEWS: Final = ((VISITS, "visits"), (ENDS, "outcomes"))
_ALLOWED: Final = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
_REFUSED_FUNCTIONS: Final = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})


def run_query(pool: Pool, query: str, limit: int, check: Callable[[], None]) -> QueryResult:
    """See `LineageReader.sql`.

    Args:
        pool: The segments.
        query: The user's text.
        limit: Most rows.
        check: Called about once a millisecond; raises to stop.
    """
    if len(query) > _LONGEST_QUERY or "\0" in query:
        raise LineageError(f"expected a query of at most {_LONGEST_QUERY:,} characters without NUL")
    stopped: list[Exception] = []

    def is_over() -> bool:
        try:
            check()
        except Exception as error:  # noqa: BLE001 - SQLite stops, and it is raised below
            stopped.append(error)
        return bool(stopped)

    connection = sqlite3.connect(
        ":memory:", uri=True, isolation_level=None, check_same_thread=False, factory=Connection
    )
    try:
        connection.set_progress_handler(is_over, _STEPS)
        _show(connection, pool, check)
        restrict(connection)
        connection.set_authorizer(_authorize)
        cursor = connection.execute(query)
        if cursor.description is None:
            raise LineageError("expected a query that returns rows, such as SELECT count(*) FROM visits")
        columns = [str(column[0]) for column in cursor.description]
        rows, more = _taken(cursor, limit)
        return QueryResult(columns=columns, rows=rows, more=more)
    except (sqlite3.Error, sqlite3.Warning) as error:
        if stopped:
            raise stopped[0] from error
        raise LineageError(_said(error)) from error
    except UnicodeEncodeError as error:
        raise LineageError("expected a query in Unicode, got half of a surrogate pair") from error
    finally:
        connection.close()


def _authorize(action: int, _one: str | None, two: str | None, _database: str | None, _inner: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION and (two or "").lower() in _REFUSED_FUNCTIONS:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _said(error: Exception) -> str:
    text = str(error)
    if any(words in text for words in ("not authorized", "prohibited", "cannot modify", "readonly")):
        return f"expected a query that only reads, got one that would do something else ({text})"
    if "one statement at a time" in text:
        return "expected one statement, got several"
    return f"the query failed: {text}"


def _taken(cursor: sqlite3.Cursor, limit: int) -> tuple[list[Sequence[object]], bool]:
    rows: list[Sequence[object]] = []
    weight = 0
    for row in cursor:
        if len(rows) >= limit or weight > _MOST_BYTES:
            return rows, True
        rows.append(row)
        weight += sum(len(value) if isinstance(value, (str, bytes)) else 8 for value in row)
    return rows, False


def _show(connection: sqlite3.Connection, pool: Pool, check: Callable[[], None]) -> None:
    """Attach the segments and make the views."""
    found = sorted(pool.readable(), key=lambda each: each[1].stat().st_size if each[1].exists() else 0, reverse=True)
    most = connection.getlimit(sqlite3.SQLITE_LIMIT_ATTACHED)
    if len(found) > most:
        most -= 1  # for those that are copied, one after the other
    schemas: dict[str, str] = {}
    for number, (name, path) in enumerate(found[:most]):
        _attach(connection, path, f"segment{number}")
        schemas[name] = f"segment{number}"
    copied = dict(found[most:])
    for rows, view in _VIEWS:
        connection.execute(
            f"CREATE TEMP TABLE lost_{view} (segment, {', '.join(rows.key)}, PRIMARY KEY (segment, {', '.join(rows.key)}))"
        )
        marks = ", ".join("?" * (1 + len(rows.key)))
        with_lost: set[str] = set()
        connection.executemany(
            f"INSERT OR IGNORE INTO lost_{view} VALUES ({marks})",
            _noted(superseded_keys(pool, rows, check), with_lost),
        )
        _make_view(connection, rows, view, schemas, copied, with_lost)


def _noted(keys: Iterator[tuple[str, tuple[Any, ...], Stage]], names: set[str]) -> Iterator[tuple[Any, ...]]:
    """Yield segment and key of each row, and add the segments to `names`; there may be millions of rows."""
    for name, key, _ in keys:
        names.add(name)
        yield name, *key


def _make_view(
    connection: sqlite3.Connection,
    rows: Rows,
    view: str,
    schemas: dict[str, str],
    copied: dict[str, Path],
    with_lost: set[str],
) -> None:
    columns = ", ".join(rows.columns)
    connection.execute(f"CREATE TEMP TABLE copied_{view} ({columns})")
    for name, path in copied.items():
        _attach(connection, path, "copying")
        kept = _kept(rows, view, "copying", name, is_checked=name in with_lost)
        connection.execute(f"INSERT INTO copied_{view} {kept}")
        connection.execute("DETACH copying")
    parts = [_kept(rows, view, schema, name, is_checked=name in with_lost) for name, schema in schemas.items()]
    parts.append(f"SELECT {columns} FROM temp.copied_{view}")
    connection.execute(f"CREATE TEMP VIEW {view} AS {' UNION ALL '.join(parts)}")


def _kept(rows: Rows, view: str, schema: str, name: str, *, is_checked: bool) -> str:
    """Return the query of a segment's rows without those that another one has a later form of."""
    query = selected(rows.table, rows.columns, schema=schema)
    if not is_checked:
        return query
    same = " AND ".join(f"lost.{field} = {rows.columns[field]}" for field in rows.key)
    return f"{query} WHERE NOT EXISTS (SELECT 1 FROM temp.lost_{view} AS lost WHERE lost.segment = '{name}' AND {same})"


def _attach(connection: sqlite3.Connection, path: Path, schema: str) -> None:
    wal = Path(f"{path}-wal")
    is_sealed = not wal.exists() or not wal.stat().st_size
    uris: Iterator[str] = iter([read_only_uri(path)] + ([read_only_uri(path, immutable=True)] if is_sealed else []))
    while True:
        uri = next(uris)
        try:
            connection.execute(f"ATTACH ? AS {schema}", (uri,))
            connection.execute(f"SELECT count(*) FROM {schema}.sqlite_master").fetchone()
        except sqlite3.OperationalError:
            if not is_sealed or "immutable" in uri:
                raise
            _detach(connection, schema)
        else:
            return


def _detach(connection: sqlite3.Connection, schema: str) -> None:
    attached: set[Any] = {row[1] for row in connection.execute("PRAGMA database_list")}
    if schema in attached:
        connection.execute(f"DETACH {schema}")
