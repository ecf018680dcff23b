"""States of stages: rows that processes of one execution own, hand over and take over.

Kept separate from settling because only `Change` is part of an acknowledgement; the rest happens when processes start
and stop. An owner is alive until its rows expire. Each of its writes checks in the same transaction that it still owns
the rows, so that a process that comes back after it was taken for dead writes nothing.
"""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

from factflow_engine.queues.sqlite.statements import insert_rows, numbers, where_in
from factflow_engine.queues.sqlite.store import Call, Look, Store
from factflow_engine.queues.sqlite.writer import Writer
from factflow_protocols import (
    Clash,
    Conclusion,
    Joined,
    QueueError,
    StageShape,
    StateChange,
    StoredAnswer,
    StoredState,
)

Place = tuple[str, str]
"""Route id and name of a stage."""

_MINE: Final = "WHERE execution = ? AND owner = ?"
_OVER: Final = "WHERE execution = ? AND owner <> ? AND until <= ?"
_LIVING: Final = "WHERE execution = ? AND owner <> ? AND until > ?"


OPENING: Final = ("", "")
"""Route and stage of the row that the first process of an execution has while it opens its stages: no stage's."""


class Change:
    """A `StateChange`, to be stored with an acknowledgement.

    Attributes:
        weight: Approximate size in bytes.
    """

    def __init__(self, change: StateChange, covered: Mapping[int, int]) -> None:
        """Prepare; `covered` maps the sequence numbers of covered, unacknowledged messages to their leases."""
        self._change = change
        self._covered = covered
        self.weight = sum(len(state or b"") for state in change.states.values())
        self.weight += sum(64 + len(answer.answer) for answer in change.answers)

    def apply(self, store: Store, queue: str, line: int, *, lost: int) -> None:
        """Store the change, in the current transaction.

        Args:
            store: Any.
            queue: Name of the queue, for errors.
            line: Id of the line of the covered messages.
            lost: Number of acknowledged messages that were not the consumer's any more.

        Raises:
            QueueError: A message is not the consumer's, or the row not the owner's, any more.
        """
        change, connection = self._change, store.connection
        lost += len(self._covered) - _held(store, line, self._covered)
        if lost:
            raise lost_error(queue, lost)
        mine = (change.execution, change.owner)
        rows: dict[str, list[int]] = {}
        for number, stage in connection.execute(
            f"SELECT id, stage FROM stage_state {_MINE} AND route = ? ORDER BY id",  # noqa: S608 - constant
            (*mine, change.route),
        ):
            rows.setdefault(stage, []).append(number)
        for stage, state in change.states.items():
            if stage not in rows:
                raise _taken_over(change.execution)
            first, *others = rows[stage]
            connection.execute("UPDATE stage_state SET state = ?, touched = 1 WHERE id = ?", (state, first))
            for condition, values in where_in("id", others):
                connection.execute(f"DELETE FROM stage_state WHERE {condition}", values)  # noqa: S608 - placeholders
        connection.execute(f"UPDATE stage_state SET until = ? {_MINE}", (_until(store), *mine))  # noqa: S608 - constant
        for condition, values in where_in("root", change.settled):
            connection.execute(
                f"DELETE FROM stage_answer WHERE execution = ? AND route = ? AND {condition}",  # noqa: S608 - placeholders
                (change.execution, change.route, *values),
            )
        insert_rows(
            connection,
            "INSERT OR REPLACE INTO stage_answer(execution, route, root, stage, message_id, answer) VALUES ",
            [
                (change.execution, change.route, answer.root, answer.stage, answer.message_id, answer.answer)
                for answer in change.answers
            ],
        )


def lost_error(queue: str, lost: int) -> QueueError:
    """Return the error for a state with effects of messages that another consumer has by now: it cannot be stored."""
    return QueueError(
        queue,
        f"{lost} messages whose effects a stage keeps are not this process's any more: it was blocked, or the file was "
        "locked, for longer than the lease; nothing is stored, and whoever has them goes on from the last stored state. "
        "Write a longer lease into the queue's URL, as ?lease=120",
    )


class SqliteStates:
    """See `factflow_protocols.StateProtocol` for the contract."""

    def __init__(self, writer: Writer, *, lease_seconds: float) -> None:
        self._writer = writer
        self._lease_seconds = lease_seconds

    @property
    def lease_seconds(self) -> float:
        """See `StateProtocol.lease_seconds`."""
        return self._lease_seconds

    async def join(
        self,
        execution: str,
        stages: Sequence[tuple[str, str]],
        *,
        opens: bool = False,
        shapes: Mapping[Place, StageShape] = MappingProxyType({}),
    ) -> Joined:
        """See `StateProtocol.join`."""
        join = partial(_join, execution=execution, stages=stages, opens=opens, shapes=shapes)
        return await self._writer.submit(Call(join, execution))

    async def opened(self, execution: str, owner: int) -> None:
        """See `StateProtocol.opened`."""
        await self._writer.submit(Call(lambda store: _opened(store, execution, owner), execution))

    async def begin(self, execution: str, owner: int) -> None:
        """See `StateProtocol.begin`."""
        await self._writer.submit(Call(lambda store: begin_stages(store, execution, owner), execution))

    async def renew(self, execution: str, owner: int) -> None:
        """See `StateProtocol.renew`."""
        await self._writer.submit(Call(lambda store: _renew(store, execution, owner), execution))

    async def answers(self, execution: str, route: str, roots: Sequence[bytes]) -> Sequence[StoredAnswer]:
        """See `StateProtocol.answers`."""
        return await self._writer.submit(Look(lambda store: _answers(store, execution, route, roots), execution))

    async def conclude(self, execution: str, owner: int, seen: Mapping[int, int]) -> Conclusion:
        """See `StateProtocol.conclude`."""
        return await self._writer.submit(Call(lambda store: _conclude(store, execution, owner, seen), execution))

    async def leave(self, execution: str, owner: int) -> None:
        """See `StateProtocol.leave`."""
        await self._writer.submit(Call(lambda store: _leave(store, execution, owner), execution))

    async def forget(self, execution: str, owner: int) -> bool:
        """See `StateProtocol.forget`."""
        return await self._writer.submit(Call(lambda store: _forget(store, execution, owner), execution))


def unfinished_of(store: Store, execution: str, *, beside: int = -1) -> int:
    """Return the number of states of an execution without a `finish`, leaving out those of the owner `beside`."""
    [unfinished] = store.connection.execute(
        "SELECT count(*) FROM stage_state WHERE execution = ? AND owner <> ? AND touched > 0", (execution, beside)
    ).fetchone()
    return int(unfinished)


def begin_stages(store: Store, execution: str, owner: int) -> None:
    """Note that an owner's stages must finish, whether they get a message or not."""
    store.connection.execute(
        f"UPDATE stage_state SET touched = 2 {_MINE} AND touched = 0 AND (route, stage) <> (?, ?)",  # noqa: S608 - constant
        (execution, owner, *OPENING),
    )


def forget_idle(store: Store, execution: str) -> None:
    """Cancel the obligation of stages to finish, if none has had an effect and no running process could finish them."""
    busy = "SELECT 1 FROM stage_state WHERE execution = ? AND (touched = 1 OR until > ?) LIMIT 1"
    if not store.connection.execute(busy, (execution, store.now_ns)).fetchone():
        store.connection.execute("DELETE FROM stage_state WHERE execution = ?", (execution,))


def _join(
    store: Store,
    *,
    execution: str,
    stages: Sequence[Place],
    opens: bool,
    shapes: Mapping[Place, StageShape],
) -> Joined:
    connection = store.connection
    if connection.execute(
        "SELECT 1 FROM stage_state WHERE execution = ? AND (route, stage) = (?, ?) AND until > ?",
        (execution, *OPENING, store.now_ns),
    ).fetchone():
        return Joined(owner=0, since=0, unfinished=0, others=0, states=(), is_opening=True)
    clashes, changed = _compared(store, execution, shapes)
    if clashes:
        return Joined(owner=0, since=0, unfinished=0, others=0, states=(), clashes=clashes)
    [newest] = connection.execute("SELECT coalesce(max(max(owner), max(since)), 0) FROM stage_state").fetchone()
    owner = max(store.now_ns, newest + 1)
    row = connection.execute("SELECT since FROM stage_state WHERE execution = ? LIMIT 1", (execution,)).fetchone()
    since = owner if row is None else row[0]
    unfinished = unfinished_of(store, execution, beside=owner)
    known: dict[Place, set[int]] = {}
    for route, stage, touched in connection.execute(
        "SELECT DISTINCT route, stage, touched FROM stage_state WHERE execution = ?", (execution,)
    ):
        known.setdefault((route, stage), set()).add(touched)
    kept = frozenset(place for place, touched in known.items() if 1 in touched)
    states = _take_over(store, execution, owner)
    [others] = connection.execute(
        f"SELECT count(DISTINCT owner) FROM stage_state {_LIVING}",  # noqa: S608 - constant
        (execution, owner, store.now_ns),
    ).fetchone()
    idle = frozenset(place for place, touched in known.items() if touched & {1, 2} == {2} and not others)
    mine = {(state.route, state.stage) for state in states}
    connection.executemany(
        f"UPDATE stage_state SET shape = ? {_MINE} AND (route, stage) = (?, ?)",  # noqa: S608 - constant
        [(_text_of(shapes[place]), execution, owner, *place) for place in mine if place in shapes],
    )
    # A stage that had no state in this unfinished execution must finish with the rest.
    added = [place for place in stages if unfinished and place not in known]
    insert_rows(
        connection,
        "INSERT INTO stage_state(execution, route, stage, owner, since, until, touched, shape) VALUES ",
        [
            (execution, *place, owner, since, _until(store), 2 if place in added else 0, _text_of(shapes.get(place)))
            for place in ([*stages, OPENING] if opens and not others and (idle or not unfinished) else stages)
            if place not in mine
        ],
    )
    return Joined(
        owner=owner,
        since=since,
        unfinished=unfinished,
        others=others,
        states=[*states, *(StoredState(route=route, stage=stage, state=None) for route, stage in added)],
        kept=kept,
        idle=idle,
        changed=changed,
    )


def _compared(store: Store, execution: str, shapes: Mapping[Place, StageShape]) -> tuple[list[Clash], frozenset[Place]]:
    """Return the stages whose state cannot be shared, being of another kind, and those configured differently."""
    clashes: dict[Place, Clash] = {}
    changed: set[Place] = set()
    rows = store.connection.execute(
        "SELECT route, stage, shape, until > ? AS living FROM stage_state "
        "WHERE execution = ? AND shape NOT NULL AND (touched = 1 OR living) ORDER BY id",
        (store.now_ns, execution),
    )
    for route, stage, text, is_living in rows:
        mine = shapes.get((route, stage))
        adapter = shape_of(text).adapter
        if mine is None or _text_of(mine) == text:
            continue
        if is_living or adapter != mine.adapter:
            clash = Clash(route=route, stage=stage, adapter=adapter, is_living=bool(is_living))
            clashes.setdefault((route, stage), clash)
        else:
            changed.add((route, stage))
    return list(clashes.values()), frozenset(changed)


def _text_of(shape: StageShape | None) -> str | None:
    return None if shape is None else f"{shape.adapter}\n{shape.config}\n{json.dumps(shape.paths)}"


def shape_of(text: str) -> StageShape:
    """Return the shape stored in a row."""
    adapter, config, paths = text.split("\n")
    return StageShape(adapter=adapter, config=config, paths=tuple(json.loads(paths)))


def _opened(store: Store, execution: str, owner: int) -> None:
    _renew(store, execution, owner)
    store.connection.execute(
        f"DELETE FROM stage_state {_MINE} AND (route, stage) = (?, ?)",  # noqa: S608 - constant
        (execution, owner, *OPENING),
    )


def _take_over(store: Store, execution: str, owner: int) -> list[StoredState]:
    """Take over the rows of owners that have left or died; delete those without any effect."""
    over = (execution, owner, store.now_ns)
    store.connection.execute(f"DELETE FROM stage_state {_OVER} AND touched = 0", over)  # noqa: S608 - constant
    rows = store.connection.execute(
        f"SELECT route, stage, state FROM stage_state {_OVER} ORDER BY id",  # noqa: S608 - constant
        over,
    ).fetchall()
    store.connection.execute(
        f"UPDATE stage_state SET owner = ?, until = ? {_OVER}",  # noqa: S608 - constant
        (owner, _until(store), *over),
    )
    return [StoredState(route=route, stage=stage, state=state) for route, stage, state in rows]


def _renew(store: Store, execution: str, owner: int) -> None:
    changed = store.connection.execute(
        f"UPDATE stage_state SET until = ? {_MINE}",  # noqa: S608 - constant
        (_until(store), execution, owner),
    ).rowcount
    if not changed:
        raise _taken_over(execution)


def _conclude(store: Store, execution: str, owner: int, seen: Mapping[int, int]) -> Conclusion:
    _renew(store, execution, owner)
    others = dict(
        store.connection.execute(
            f"SELECT owner, max(until) FROM stage_state {_LIVING} GROUP BY owner",  # noqa: S608 - constant
            (execution, owner, store.now_ns),
        )
    )
    states = _take_over(store, execution, owner)
    handed_over = any(until != seen.get(other, until) for other, until in others.items())
    if handed_over:
        _leave(store, execution, owner)
    elif not others:
        # Later effects belong to this run of the execution, whichever process repeats them.
        store.connection.execute(f"UPDATE stage_state SET touched = 1 {_MINE}", (execution, owner))  # noqa: S608 - constant
    return Conclusion(handed_over=handed_over, others=others, states=states)


def _leave(store: Store, execution: str, owner: int) -> None:
    mine = (execution, owner)
    if not store.connection.execute(f"SELECT 1 FROM stage_state {_MINE} AND touched > 0 LIMIT 1", mine).fetchone():  # noqa: S608 - constant
        store.connection.execute(f"DELETE FROM stage_state {_MINE}", mine)  # noqa: S608 - constant
    # Otherwise they stay, also those without effect: they distinguish an existing stage from a new one.
    store.connection.execute(f"UPDATE stage_state SET until = 0 {_MINE}", mine)  # noqa: S608 - constant


def _forget(store: Store, execution: str, owner: int) -> bool:
    connection = store.connection
    over = (execution, owner, store.now_ns)
    if connection.execute(f"SELECT 1 FROM stage_state {_OVER} AND touched > 0 LIMIT 1", over).fetchone():  # noqa: S608 - constant
        return False
    connection.execute(f"DELETE FROM stage_state {_MINE}", (execution, owner))  # noqa: S608 - constant
    connection.execute(f"DELETE FROM stage_state {_OVER}", over)  # noqa: S608 - constant
    if not connection.execute("SELECT 1 FROM stage_state WHERE execution = ? LIMIT 1", (execution,)).fetchone():
        connection.execute("DELETE FROM stage_answer WHERE execution = ?", (execution,))
    return True


def _answers(store: Store, execution: str, route: str, roots: Sequence[bytes]) -> list[StoredAnswer]:
    found = []
    for condition, values in where_in("root", roots):
        rows = store.connection.execute(
            "SELECT stage, message_id, root, answer FROM stage_answer "  # noqa: S608 - placeholders
            f"WHERE execution = ? AND route = ? AND {condition}",
            (execution, route, *values),
        ).fetchall()
        found += [
            StoredAnswer(stage=stage, message_id=message_id, root=root, answer=answer)
            for stage, message_id, root, answer in rows
        ]
    return found


def _held(store: Store, line: int, covered: Mapping[int, int]) -> int:
    """Return the number of these messages that are under these leases."""
    count = 0
    by_lease: dict[int, list[int]] = {}
    for seq in sorted(covered):
        by_lease.setdefault(covered[seq], []).append(seq)
    for condition, values in where_in("token", list(by_lease)):
        for low, high, token in numbers(
            store.connection,
            ("low", "high", "token"),
            f"FROM hold WHERE token > 0 AND line = ? AND {condition}",
            (line, *values),
        ):
            count += bisect_right(by_lease[token], high) - bisect_left(by_lease[token], low)
    return count


def _until(store: Store) -> int:
    return store.now_ns + round(store.settings.lease_seconds * 1e9)


def _taken_over(execution: str) -> QueueError:
    return QueueError(
        execution,
        "another process has taken over what stages of this one keep: it did not renew its lease in time; "
        "write a longer one into the queue's URL, as ?lease=120",
    )
