"""Examination of one line, row by row: find what is wrong, and repair it.

Kept separate from `fsck`, which is about the whole file. A message with a row is unsettled unless `settled` covers it,
because settling deletes the row in the same transaction. So messages that nothing refers to are handed out again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from factflow_engine.errors import CodecError
from factflow_engine.frames import Frame
from factflow_engine.queues.sqlite.claiming import INSERT_HOLDS, quarantine
from factflow_engine.queues.sqlite.holds import Cover, Hold, Kept, disjoint, join, minus
from factflow_engine.queues.sqlite.lines import Line
from factflow_engine.queues.sqlite.schema import LINE_SHIFT
from factflow_engine.queues.sqlite.statements import insert_rows, runs_of
from factflow_engine.queues.sqlite.store import Store

_MOST: Final = (1 << LINE_SHIFT) - 1
"""The greatest number of a message."""

_LAST: Final = (1 << 63) - 1
"""The greatest sequence number of any line."""

_LEASES: Final = 1 << 62
"""Greater than all lease tokens, which count up from the time in nanoseconds at which the line was made."""

_LONGEST_DELAY_NS: Final = 10 * 365 * 86_400 * 1_000_000_000
"""The longest plausible delay."""


@dataclass(slots=True, kw_only=True)
class Examined:
    """Result of examining a line.

    Attributes:
        line: Its row, repaired.
        name: Name of the line, for people.
        holds: Its holds, repaired: within the log, without overlaps, covering only readable messages.
        broken: Sequence numbers of unreadable messages, with the reason.
        missing: Ranges of messages whose rows are missing.
        renamed: Sequence numbers of messages whose row has a wrong id, with the right one.
        kept: Ranges of settled messages, repaired; None if they are right.
        texts: The problems, in words.
    """

    line: Line
    name: str
    holds: Sequence[Hold] = ()
    broken: dict[int, str] = field(default_factory=dict)
    missing: Sequence[tuple[int, int]] = ()
    renamed: dict[int, bytes] = field(default_factory=dict)
    kept: Sequence[Kept] | None = None
    texts: list[str] = field(default_factory=list)


def examine(store: Store, line: Line, name: str) -> Examined:
    """Examine a line and everything that belongs to it; reads every row."""
    examined = Examined(line=line, name=name)
    tail, cursor = _log(store, examined)
    ranges = _with_fates(store, examined, _within_log(store, examined, line.base + cursor))
    fresh = Hold(line.base + cursor + 1, line.base + tail, line.id, 0, 0, 0)
    kept = _kept(store, examined, [*((hold.low, hold.high) for hold in ranges), (fresh.low, _LAST)])
    stray = _look_at_messages(store, examined, [*ranges, fresh] if fresh.size else ranges, kept)
    lost = sorted([*((seq, seq) for seq in examined.broken), *examined.missing])
    holds = minus(ranges, lost)
    if tail != line.tail or (lost and lost[-1][1] >= fresh.low):
        holds += minus([fresh], lost)
        cursor = tail
    examined.holds = join([*holds, *(Hold(low, high, line.id, 0, 0, 0) for low, high in stray)])
    held = sum(hold.size for hold in ranges)
    if held != line.held:
        examined.texts.append(f"it counts {line.held} messages handed out or given back, there are {held}")
    examined.line = examined.line._replace(tail=tail, cursor=cursor, held=sum(hold.size for hold in examined.holds))
    return examined


def _log(store: Store, examined: Examined) -> tuple[int, int]:
    """Return the right tail and cursor."""
    line = examined.line
    [newest] = store.connection.execute(
        "SELECT coalesce(max(seq), ?1) - ?1 FROM message WHERE seq BETWEEN ?1 AND ?2", (line.base, line.base + _MOST)
    ).fetchone()
    tail = line.tail
    if not newest <= tail <= _MOST:
        tail = max(newest, min(line.cursor, _MOST)) if tail > _MOST else newest
        examined.texts.append(f"its newest message is number {newest}, it counts {line.tail}")
    cursor = min(max(line.cursor, 0), tail)
    if cursor != line.cursor:
        examined.texts.append(f"its cursor {line.cursor} is not within its log, 0-{tail}")
    return tail, cursor


def _within_log(store: Store, examined: Examined, last: int) -> list[Hold]:
    """Return the holds, clipped to the log and to each other."""
    line = examined.line
    rows = store.connection.execute(
        "SELECT low, high, line, due, token, attempts FROM hold WHERE low BETWEEN ? AND ? ORDER BY low",
        (line.base, line.base + _MOST),
    )
    right, wrong = disjoint((Hold(*row) for row in rows), line.base + 1, last)
    examined.texts += [_out_of_place("handed out or given back", hold, line) for hold in wrong]
    if strangers := sum(hold.size for hold in right if hold.line != line.id):
        examined.texts.append(f"{strangers} messages handed out or given back are noted for another queue")
    return [hold._replace(line=line.id) for hold in right]


def _with_fates(store: Store, examined: Examined, holds: Sequence[Hold]) -> list[Hold]:
    """Return the holds, with valid leases and times."""
    line, free = examined.line, {"due": 0, "token": 0}
    leased = [hold if 0 <= hold.token < _LEASES else hold._replace(**free) for hold in holds]
    if wrong := sum(one.size for one, other in zip(holds, leased, strict=True) if one != other):
        examined.texts.append(f"{wrong} messages have a lease of a number that there cannot be")
    latest = store.now_ns + _LONGEST_DELAY_NS
    if late := sum(hold.size for hold in leased if hold.due > latest):
        examined.texts.append(f"{late} messages are not due for more than ten years")
    token = line.token if 0 <= line.token < _LEASES else store.now_ns
    token = max([token, *(hold.token for hold in leased)])
    if token != line.token:
        examined.texts.append(f"its newest lease is number {token}, it counts {line.token}")
        examined.line = line._replace(token=token)
    return [hold if hold.due <= latest else hold._replace(**free) for hold in leased]


def _kept(store: Store, examined: Examined, live: Sequence[tuple[int, int]]) -> Sequence[Kept]:
    """Return the settled messages whose rows are retained, without those that are not settled."""
    line = examined.line
    rows = store.connection.execute(
        "SELECT low, high, until FROM settled WHERE low BETWEEN ? AND ? ORDER BY low", (line.base, line.base + _MOST)
    )
    kept, wrong = disjoint((Kept(*row) for row in rows), line.base + 1, line.base + _MOST)
    examined.texts += [_out_of_place("settled", each, line) for each in wrong]
    right = minus(kept, live)
    if unsettled := minus(kept, [(each.low, each.high) for each in right]):
        ranges = [(each.low, each.high) for each in unsettled]
        examined.texts.append(_counted(ranges, line, "are noted as settled and are not"))
    if wrong or unsettled:
        examined.kept = right
    return right


def _look_at_messages(
    store: Store, examined: Examined, expected: Sequence[Hold], settled: Sequence[Kept]
) -> Sequence[tuple[int, int]]:
    """Read every row of the line and classify the faults; return the ranges of messages that nothing refers to."""
    line = examined.line
    stray: list[tuple[int, int]] = []
    awaited = Cover((hold.low, hold.high) for hold in expected)
    kept = Cover((each.low, each.high) for each in settled)
    for seq, message_id, frame in store.connection.execute(
        "SELECT seq, message_id, frame FROM message WHERE seq BETWEEN ? AND ? ORDER BY seq",
        (line.base, line.base + _MOST),
    ):
        if seq == line.base:
            examined.broken[seq] = "messages are numbered from 1 on"
            continue
        referred = awaited.takes(seq)
        if not referred and kept.takes(seq):
            continue
        try:
            identity = Frame.decode(frame).message_id
        except (CodecError, TypeError) as error:
            examined.broken[seq] = str(error)
        else:
            if identity != message_id:
                examined.renamed[seq] = identity
            if stray and not referred and stray[-1][1] + 1 == seq:
                stray[-1] = (stray[-1][0], seq)
            elif not referred:
                stray.append((seq, seq))
    examined.missing = awaited.finish()
    for seq, problem in examined.broken.items():
        examined.texts.append(f"message number {seq - line.base} cannot be handed out: {problem}")
    if examined.missing:
        examined.texts.append(_counted(examined.missing, line, "are missing"))
    if examined.renamed:
        ranges = runs_of(examined.renamed)
        examined.texts.append(_counted(ranges, line, "have another id than their frames"))
    if stray:
        examined.texts.append(_counted(stray, line, "are neither waiting, handed out nor settled"))
    return stray


def _out_of_place(what: str, each: Hold | Kept, line: Line) -> str:
    return (
        f"the range {each.low - line.base}-{each.high - line.base} of messages {what} is empty, overlaps another, or the "
        "log's end"
    )


def _counted(ranges: Sequence[tuple[int, int]], line: Line, what: str) -> str:
    count = sum(high - low + 1 for low, high in ranges)
    return f"{count} messages {what}, the first is number {ranges[0][0] - line.base}"


def mend(store: Store, examined: Examined) -> None:
    """Repair a line, in the current transaction."""
    connection, line = store.connection, examined.line
    for seq, problem in examined.broken.items():
        quarantine(store, line.id, seq, problem)
    for low, high in examined.missing:
        count = high - low + 1
        problem = "its row is missing" if count == 1 else f"the rows of {count} messages are missing, from this one on"
        connection.execute(
            "INSERT OR IGNORE INTO quarantine(seq, line, at, error) VALUES (?, ?, ?, ?)",
            (low, line.id, store.now_ns // 1_000_000_000, problem),
        )
    for seq, identity in examined.renamed.items():
        connection.execute("UPDATE message SET message_id = ? WHERE seq = ?", (identity, seq))
    if examined.kept is not None:
        connection.execute("DELETE FROM settled WHERE low BETWEEN ? AND ?", (line.base, line.base + _MOST))
        insert_rows(connection, "INSERT INTO settled(low, high, until) VALUES ", examined.kept)
    connection.execute("DELETE FROM hold WHERE low BETWEEN ? AND ?", (line.base, line.base + _MOST))
    insert_rows(connection, INSERT_HOLDS, examined.holds)
    connection.execute(
        "UPDATE line SET tail = ?, cursor = ?, held = ?, token = ?, "
        "quarantined = (SELECT count(*) FROM quarantine WHERE line = line.id) WHERE id = ?",
        (line.tail, line.cursor, line.held, line.token, line.id),
    )
