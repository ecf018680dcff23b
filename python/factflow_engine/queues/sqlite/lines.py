"""Rows of lines: lookup, creation, and the counts that every change of messages must update."""

import difflib
import sqlite3
from typing import Final, NamedTuple

from factflow_engine.queues.naming import is_topic
from factflow_engine.queues.sqlite.schema import LINE_SHIFT, MAX_LINES
from factflow_protocols import QueueError

_COLUMNS: Final = "id, tail, cursor, held, coalesce(capacity, ?), token"


class Line(NamedTuple):
    """State of a line that a transaction needs.

    Attributes:
        id: Id of the row.
        tail: Number of its newest message; 0 if it never had one.
        cursor: Number of the newest message that was ever handed out.
        held: Number of messages that holds cover.
        capacity: Most messages that it may contain.
        token: Token of its newest lease.
    """

    id: int
    tail: int
    cursor: int
    held: int
    capacity: int
    token: int

    @property
    def base(self) -> int:
        """Offset from a message's number to its sequence number."""
        return self.id << LINE_SHIFT

    @property
    def total(self) -> int:
        """Number of messages in the line."""
        return self.tail - self.cursor + self.held

    @property
    def room(self) -> int:
        """Number of messages that still fit."""
        return max(0, self.capacity - self.total)


def line_of(seq: int) -> int:
    """Return the id of a message's line."""
    return seq >> LINE_SHIFT


def lines_of_queue(connection: sqlite3.Connection, queue: str, default_capacity: int) -> list[Line]:
    """Return the lines to which this name publishes; make a missing point-to-point queue."""
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM line WHERE queue = ?",  # noqa: S608 - constant
        (default_capacity, queue),
    ).fetchall()
    return [Line(*row) for row in found]


def line_by_id(connection: sqlite3.Connection, line: int, default_capacity: int) -> Line | None:
    """Return one line; None if it was forgotten."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM line WHERE id = ?",  # noqa: S608 - constant
        (default_capacity, line),
    ).fetchone()
    return None if row is None else Line(*row)


def is_line_of(connection: sqlite3.Connection, line: int, queue: str, subscription: str) -> bool:
    """True if the line still belongs to the queue, or the topic's subscription: numbers are reused."""
    key = subscription_key(queue, subscription)
    row = connection.execute(
        "SELECT queue = ? AND subscription = ? FROM line WHERE id = ?", (queue, key, line)
    ).fetchone()
    return row is not None and bool(row[0])


def subscription_key(queue: str, subscription: str) -> str:
    """Return the value of the `subscription` column, which all consumers of a point-to-point queue share."""
    return subscription if is_topic(queue) else ""


def line_id(connection: sqlite3.Connection, queue: str, subscription: str, now_ns: int) -> int:
    """Return the line of a queue or of a topic's subscription, made if missing; must run in a transaction.

    Raises:
        QueueError: The file has no number left for another line.
    """
    key = subscription_key(queue, subscription)
    row = connection.execute("SELECT id FROM line WHERE queue = ? AND subscription = ?", (queue, key)).fetchone()
    if row is not None:
        return int(row[0])
    [newest] = connection.execute(  # remains of a line whose row was lost keep its number in use, too
        "SELECT max(coalesce((SELECT max(id) FROM line), 0), coalesce((SELECT max(seq) FROM message), 0) >> ?1, "
        "coalesce((SELECT max(seq) FROM quarantine), 0) >> ?1)",
        (LINE_SHIFT,),
    ).fetchone()
    line = newest + 1
    if line > MAX_LINES:  # numbers of forgotten lines are reused, the lowest first
        [line] = connection.execute(
            "SELECT id + 1 FROM (SELECT 0 AS id UNION ALL SELECT id FROM line) AS l "
            "WHERE NOT EXISTS (SELECT 1 FROM line WHERE line.id = l.id + 1) "
            "AND id + 1 NOT IN (SELECT seq >> ? FROM quarantine) ORDER BY id LIMIT 1",
            (LINE_SHIFT,),
        ).fetchone()
    if line > MAX_LINES:
        raise QueueError(
            queue, f"the file has {MAX_LINES} queues and subscriptions already; `factflow queue forget` removes one"
        )
    connection.execute(
        "INSERT INTO line(id, queue, subscription, tail, cursor, held, token) VALUES (?, ?, ?, 0, 0, 0, ?)",
        (line, queue, key, now_ns),
    )
    return int(line)


def require_queue(connection: sqlite3.Connection, queue: str, remedy: str = "") -> None:
    """Check that a queue is in the file.

    Args:
        connection: Any.
        queue: Name of the queue or topic.
        remedy: Alternative to naming another queue, for the error.

    Raises:
        QueueError: It is not; the text names some that are.
    """
    if connection.execute("SELECT 1 FROM line WHERE queue = ? LIMIT 1", (queue,)).fetchone() is None:
        raise QueueError(queue, f"is not in the file; {names_like(connection, queue)}{remedy}")


def names_like(connection: sqlite3.Connection, queue: str) -> str:
    """Return names of queues to suggest for a mistyped one: similar names, else some, in words."""
    rows = connection.execute("SELECT DISTINCT queue FROM line WHERE queue <> ? ORDER BY queue LIMIT 10000", (queue,))
    names = [name for (name,) in rows]
    near = difflib.get_close_matches(queue, names, 3, 0.8)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"the file has {', '.join(names[:20]) or 'no queue yet'}"


def forget_line(connection: sqlite3.Connection, line: int) -> None:
    """Delete a line and everything that belongs to it, in a transaction."""
    low, high = line << LINE_SHIFT, (line + 1 << LINE_SHIFT) - 1
    connection.execute("DELETE FROM message WHERE seq BETWEEN ? AND ?", (low, high))
    connection.execute("DELETE FROM hold WHERE low BETWEEN ? AND ?", (low, high))
    connection.execute("DELETE FROM settled WHERE low BETWEEN ? AND ?", (low, high))
    connection.execute("DELETE FROM quarantine WHERE line = ?", (line,))
    connection.execute("DELETE FROM seen WHERE line = ?", (line,))
    connection.execute("DELETE FROM line WHERE id = ?", (line,))
