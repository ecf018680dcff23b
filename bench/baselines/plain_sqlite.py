"""A queue by hand in sqlite3, as one would write it: one table with a state, one transaction a batch.

The same file settings, the same bytes, the same batches, the same refusal of ids that were seen, and leases, so that
it keeps the same promises; no event loop, no threads, one connection.
"""

import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.timing import Stopwatch
from factflow_engine.frames import Frame, pack, unpack

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


def carrying(
    handle: Callable[[Any], Any],
    payloads: Sequence[Mapping[str, Any]],
    synchronous: str,
    *,
    hops: int,
    published: int,
    size: int,
) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: store all payloads, then take them through queues in a row; cost of one hop.

    A batch is leased in a transaction; what it leads to is stored and its own messages are deleted in one other. If the
    process dies between the two, the lease ends and the same ids come again, which `seen` refuses.

    Args:
        handle: What a hop does with a message; it gives the same one back, or None for a message that ends here.
        payloads: What is published.
        synchronous: The file's setting.
        hops: Queues in a row.
        published: Messages of a batch that is published.
        size: Messages of a batch that is leased.
    """

    def measure() -> Mapping[str, float]:
        with TemporaryDirectory() as folder:
            connection = open_queue(Path(folder) / "q.db", synchronous)
            ended = 0
            with Stopwatch() as watch:
                for start in range(0, len(payloads), published):
                    frames = _frames(payloads[start : start + published])
                    connection.execute("BEGIN IMMEDIATE")
                    _append(connection, 0, frames)
                    connection.execute("COMMIT")
                for queue in range(hops):
                    onward = queue + 1 if queue + 1 < hops else None
                    ended += _carry(connection, handle, queue, onward, size)
            connection.close()
        if ended != len(payloads) * hops:
            raise RuntimeError(f"{len(payloads)} messages over {hops} hops ended {ended} times")
        return watch.per(ended)

    return measure


def _carry(
    connection: sqlite3.Connection, handle: Callable[[Any], Any], queue: int, onward: int | None, size: int
) -> int:
    """Take everything from a queue to the next one; return how many messages that were."""
    ended = lease = 0
    while True:
        lease += 1
        rows, until = _lease(connection, queue, size, lease)
        if not rows:
            return ended
        children = []
        for _, encoded in rows:
            frame = Frame.decode(encoded)
            if handle(unpack(frame.payload)) is not None:
                children.append(frame.child(queue, 0))
        connection.execute("BEGIN IMMEDIATE")
        if onward is not None:
            _append(connection, onward, children)
        settled = connection.execute(
            "DELETE FROM message WHERE queue = ? AND visible_at = ? AND lease = ?", (queue, until, lease)
        ).rowcount
        if settled != len(rows):
            raise RuntimeError(f"{len(rows) - settled} messages of a lease are another's")
        connection.execute("COMMIT")
        ended += len(children)


def _lease(connection: sqlite3.Connection, queue: int, limit: int, lease: int) -> tuple[list[tuple[int, bytes]], int]:
    now = time.time_ns()
    until = now + _LEASE_NS
    connection.execute("BEGIN IMMEDIATE")
    rows: list[tuple[int, bytes]] = connection.execute(
        "UPDATE message SET visible_at = ?, lease = ? WHERE seq IN (SELECT seq FROM message "
        "WHERE queue = ? AND visible_at <= ? ORDER BY visible_at, seq LIMIT ?) RETURNING seq, frame",
        (until, lease, queue, now, limit),
    ).fetchall()
    connection.execute("COMMIT")
    rows.sort()  # RETURNING promises no order
    return rows, until


def _append(connection: sqlite3.Connection, queue: int, frames: Sequence[Frame]) -> None:
    now = time.time_ns()
    remembered = connection.executemany(
        "INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", [(queue, frame.message_id, now) for frame in frames]
    ).rowcount
    if remembered != len(frames):
        raise RuntimeError("the benchmark publishes no duplicates")
    connection.executemany(
        "INSERT INTO message(queue, visible_at, lease, frame) VALUES (?, 0, 0, ?)",
        [(queue, frame.encode()) for frame in frames],
    )


def _frames(payloads: Sequence[Mapping[str, Any]]) -> list[Frame]:
    now = time.time_ns()
    time_bytes = (now // 1_000_000).to_bytes(6)
    return [
        Frame.create(pack(payload), message_id=time_bytes + secrets.token_bytes(10), time_ns=now)
        for payload in payloads
    ]
