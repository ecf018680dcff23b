"""A queue by hand in sqlite3, as one would write it: one table with a state, one transaction a batch.

The same file settings, the same bytes, the same batches, the same refusal of ids that were seen, and leases, so that
it keeps the same promises; no event loop, no threads, one connection.
"""

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.timing import Stopwatch
from factflow_engine.frames import Frame

_LEASE_NS = 30_000_000_000


def open_queue(path: Path, synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", f"synchronous = {synchronous}", "secure_delete = OFF", "cache_size = -16384"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(
        "CREATE TABLE message(seq INTEGER PRIMARY KEY, queue INTEGER, visible_at INTEGER, lease INTEGER, frame BLOB)"
    )
    connection.execute("CREATE INDEX ready ON message(queue, visible_at, seq)")
    connection.execute(
        "CREATE TABLE seen(queue INTEGER, message_id BLOB, at INTEGER, PRIMARY KEY(queue, message_id)) WITHOUT ROWID"
    )
    return connection


def publish(connection: sqlite3.Connection, batch: Sequence[tuple[bytes, bytes]]) -> None:
    now = time.time_ns()
    connection.execute("BEGIN IMMEDIATE")
    remembered = connection.executemany(
        "INSERT OR IGNORE INTO seen VALUES (1, ?, ?)", [(identity, now) for identity, _ in batch]
    ).rowcount
    if remembered != len(batch):
        raise RuntimeError("the benchmark publishes no duplicates")
    connection.executemany(
        "INSERT INTO message(queue, visible_at, lease, frame) VALUES (1, 0, 0, ?)", [(frame,) for _, frame in batch]
    )
    connection.execute("COMMIT")


def receive(connection: sqlite3.Connection, limit: int, lease: int) -> list[tuple[int, bytes]]:
    now = time.time_ns()
    connection.execute("BEGIN IMMEDIATE")
    rows: list[tuple[int, bytes]] = connection.execute(
        "SELECT seq, frame FROM message WHERE queue = 1 AND visible_at <= ? ORDER BY visible_at, seq LIMIT ?",
        (now, limit),
    ).fetchall()
    connection.executemany(
        "UPDATE message SET visible_at = ?, lease = ? WHERE seq = ?", [(now + _LEASE_NS, lease, seq) for seq, _ in rows]
    )
    connection.execute("COMMIT")
    return rows


def settle(connection: sqlite3.Connection, rows: Sequence[tuple[int, bytes]], lease: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("DELETE FROM message WHERE seq = ? AND lease = ?", [(seq, lease) for seq, _ in rows])
    connection.execute("COMMIT")


def publishing(batches: Sequence[Sequence[tuple[bytes, bytes]]], synchronous: str) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: store all batches; cost of one message."""

    def measure() -> Mapping[str, float]:
        with TemporaryDirectory() as folder:
            connection = open_queue(Path(folder) / "q.db", synchronous)
            with Stopwatch() as watch:
                for batch in batches:
                    publish(connection, batch)
            connection.close()
        return watch.per(sum(map(len, batches)))

    return measure


def consuming(
    batches: Sequence[Sequence[tuple[bytes, bytes]]], synchronous: str, size: int
) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: receive and settle all of it in batches; cost of one message."""
    total = sum(map(len, batches))

    def measure() -> Mapping[str, float]:
        with TemporaryDirectory() as folder:
            connection = open_queue(Path(folder) / "q.db", synchronous)
            for batch in batches:
                publish(connection, batch)
            got = lease = 0
            with Stopwatch() as watch:
                while got < total:
                    lease += 1
                    rows = receive(connection, size, lease)
                    for _, frame in rows:
                        Frame.decode(frame)
                    settle(connection, rows, lease)
                    got += len(rows)
            connection.close()
        return watch.per(total)

    return measure
