"""Checking a file against what `schema` promises, and mending it.

Nothing that can still be read is thrown away: damaged rows go to quarantine, and what the counts got wrong is counted
again. A file whose pages are damaged is SQLite's to recover (`sqlite3 file .recover`), and the report says so.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from factflow_engine.errors import CodecError
from factflow_engine.frames import Frame
from factflow_engine.queues.sqlite.claiming import quarantine
from factflow_engine.queues.sqlite.holds import Hold, join, without
from factflow_engine.queues.sqlite.lines import Line
from factflow_engine.queues.sqlite.schema import LINE_SHIFT
from factflow_engine.queues.sqlite.statements import insert_rows
from factflow_engine.queues.sqlite.store import Store

_REPORTED: Final = 20
"""Findings of SQLite's own that are passed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is wrong with a file.

    Attributes:
        queue: Name of the queue; empty if it is the file's.
        text: What it is.
        mendable: Whether `repair` does something about it.
    """

    queue: str
    text: str
    mendable: bool


@dataclass(slots=True)
class _Examined:
    """One line, looked at.

    Attributes:
        line: Its row.
        name: For people.
        holds: As they are.
        right_holds: As they should be: within the log, not overlapping, only messages that can be read.
        broken: Messages that are there and cannot be read, with the reason.
        missing: Messages that should be there.
        stray: Rows that nothing refers to.
        tail: What it should be.
        texts: What is wrong, in words.
    """

    line: Line
    name: str
    holds: list[Hold]
    right_holds: list[Hold] = field(default_factory=list)
    broken: dict[int, str] = field(default_factory=dict)
    missing: list[int] = field(default_factory=list)
    stray: list[int] = field(default_factory=list)
    tail: int = 0
    texts: list[str] = field(default_factory=list)


def check(store: Store) -> list[Problem]:
    """All that is wrong; reads every row."""
    with store.snapshot():
        return _problems(store)


def _problems(store: Store) -> list[Problem]:
    connection = store.connection
    said = [text for (text,) in connection.execute(f"PRAGMA integrity_check({_REPORTED})")]
    problems = [
        Problem(queue="", text=f"SQLite: {text}; recover what can be with `sqlite3 FILE .recover`", mendable=False)
        for text in said
        if text != "ok"
    ]
    if problems:
        return problems
    for examined in _examine_all(store):
        problems += [Problem(queue=examined.name, text=text, mendable=True) for text in examined.texts]
    problems += [
        Problem(queue="", text=f"{count} messages belong to no queue (number {line})", mendable=True)
        for line, count in _homeless(connection)
    ]
    for queue, seq, message_id, error in connection.execute(
        "SELECT coalesce(l.queue, ''), q.seq, hex(q.message_id), q.error FROM quarantine AS q "
        "LEFT JOIN line AS l ON l.id = q.line ORDER BY q.seq"
    ):
        text = f"message {message_id.lower() or 'without an id'} (row {seq}) is in quarantine: {error}"
        problems.append(Problem(queue=queue, text=text, mendable=False))
    return problems


def repair(store: Store) -> list[Problem]:
    """Mend what `check` calls mendable, in the transaction under way, and say what it was."""
    connection = store.connection
    mended = []
    for examined in list(_examine_all(store)):
        if examined.texts:
            _mend(store, examined)
            mended += [Problem(queue=examined.name, text=text, mendable=True) for text in examined.texts]
    for line, count in _homeless(connection):
        connection.execute(
            "INSERT OR REPLACE INTO quarantine SELECT seq, ?1, message_id, ?2, 'belongs to no queue', frame "
            "FROM message WHERE seq >> ?3 = ?1",
            (line, store.now_ns // 1_000_000_000, LINE_SHIFT),
        )
        connection.execute("DELETE FROM message WHERE seq >> ? = ?", (LINE_SHIFT, line))
        mended.append(Problem(queue="", text=f"{count} messages belong to no queue (number {line})", mendable=True))
    connection.execute("DELETE FROM hold WHERE line NOT IN (SELECT id FROM line)")
    return mended


def _homeless(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    return connection.execute(
        "SELECT seq >> ? AS l, count(*) FROM message WHERE l NOT IN (SELECT id FROM line) GROUP BY l", (LINE_SHIFT,)
    ).fetchall()


def _examine_all(store: Store) -> Iterator[_Examined]:
    rows = store.connection.execute(
        "SELECT queue, subscription, id, tail, cursor, held, coalesce(capacity, ?), token FROM line ORDER BY id",
        (store.settings.capacity,),
    ).fetchall()
    for queue, subscription, *row in rows:
        yield _examine(store, Line(*row), f"{queue} ({subscription})" if subscription else queue)


def _examine(store: Store, line: Line, name: str) -> _Examined:
    connection, base = store.connection, line.base
    high = (line.id + 1 << LINE_SHIFT) - 1
    holds = [
        Hold(*row)
        for row in connection.execute(
            "SELECT low, high, line, due, token, attempts FROM hold WHERE low BETWEEN ? AND ? ORDER BY low",
            (base, high),
        )
    ]
    examined = _Examined(line, name, holds, tail=line.tail)
    [newest] = connection.execute("SELECT max(seq) FROM message WHERE seq BETWEEN ? AND ?", (base, high)).fetchone()
    if newest is not None and newest - base > line.tail:
        examined.tail = newest - base
        examined.texts.append(f"its newest message is number {newest - base}, it counts {line.tail}")
    cursor = min(line.cursor, examined.tail)
    if cursor != line.cursor:
        examined.texts.append(f"its cursor {line.cursor} is behind its newest message {examined.tail}")
    ranges = _within_log(examined, base, base + cursor)
    fresh = Hold(base + cursor + 1, base + examined.tail, line.id, 0, 0, 0)
    _look_at_messages(connection, examined, [*ranges, fresh] if fresh.size else ranges)
    lost = sorted([*examined.broken, *examined.missing])
    for hold in ranges:
        examined.right_holds += without(hold, [seq for seq in lost if hold.low <= seq <= hold.high])
    if any(seq >= fresh.low for seq in lost) or examined.tail != line.tail:
        examined.right_holds += without(fresh, [seq for seq in lost if seq >= fresh.low])
        cursor = examined.tail
    held = sum(hold.size for hold in ranges)
    if held != line.held:
        examined.texts.append(f"it counts {line.held} messages handed out or given back, there are {held}")
    examined.line = line._replace(cursor=cursor)
    return examined


def _within_log(examined: _Examined, base: int, last: int) -> list[Hold]:
    """The holds, cut to the log and to each other."""
    right: list[Hold] = []
    for hold in examined.holds:
        low = max(hold.low, base + 1, right[-1].high + 1 if right else 0)
        cut = hold._replace(low=low, high=min(hold.high, last), line=examined.line.id)
        if cut != hold:
            examined.texts.append(f"the range {hold.low - base}-{hold.high - base} overlaps another, or the log's end")
        if cut.size > 0:
            right.append(cut)
    return right


def _look_at_messages(connection: sqlite3.Connection, examined: _Examined, ranges: list[Hold]) -> None:
    """Read every row of the line, and sort out what is wrong."""
    line = examined.line
    kept = connection.execute(
        "SELECT low, high FROM settled WHERE low >> ? = ? ORDER BY low", (LINE_SHIFT, line.id)
    ).fetchall()
    expected = (seq for hold in ranges for seq in range(hold.low, hold.high + 1))
    awaited = next(expected, None)
    for seq, frame in connection.execute(
        "SELECT seq, frame FROM message WHERE seq BETWEEN ? AND ? ORDER BY seq",
        (line.base, (line.id + 1 << LINE_SHIFT) - 1),
    ):
        while awaited is not None and awaited < seq:
            examined.missing.append(awaited)
            awaited = next(expected, None)
        while kept and kept[0][1] < seq:
            kept.pop(0)
        if awaited != seq:
            if not (kept and kept[0][0] <= seq):
                examined.stray.append(seq)
            continue
        awaited = next(expected, None)
        try:
            Frame.decode(frame)
        except (CodecError, TypeError) as error:
            examined.broken[seq] = str(error)
    while awaited is not None:
        examined.missing.append(awaited)
        awaited = next(expected, None)
    for seq, problem in examined.broken.items():
        examined.texts.append(f"message number {seq - line.base} cannot be read: {problem}")
    if examined.missing:
        examined.texts.append(
            f"{len(examined.missing)} messages are missing, the first is number {examined.missing[0] - line.base}"
        )
    if examined.stray:
        examined.texts.append(f"{len(examined.stray)} settled messages are still there")


def _mend(store: Store, examined: _Examined) -> None:
    connection, line = store.connection, examined.line
    for seq, problem in [*examined.broken.items(), *((seq, "its row is missing") for seq in examined.missing)]:
        quarantine(store, line.id, seq, problem)
    for seq in examined.stray:
        connection.execute("DELETE FROM message WHERE seq = ?", (seq,))
    connection.execute("DELETE FROM hold WHERE low BETWEEN ? AND ?", (line.base, (line.id + 1 << LINE_SHIFT) - 1))
    holds = join(examined.right_holds)
    insert_rows(connection, "INSERT INTO hold(low, high, line, due, token, attempts) VALUES ", holds)
    connection.execute(
        "UPDATE line SET tail = ?, cursor = ?, held = ? WHERE id = ?",
        (examined.tail, line.cursor, sum(hold.size for hold in holds), line.id),
    )
