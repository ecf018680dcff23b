"""A change of stages' states and answers that is part of an acknowledgement.

Kept separate from settling, whose transaction it is applied in, because it has conditions of its own: the messages that
it covers and the rows that it writes are still this process's.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping

from factflow_engine.queues.sqlite.owners import MINE, taken_over_error, until_of
from factflow_engine.queues.sqlite.statements import insert_rows, numbers, where_in
from factflow_engine.queues.sqlite.store import Store
from factflow_protocols import QueueError, StateChange


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
            f"SELECT id, stage FROM stage_state {MINE} AND route = ? ORDER BY id",  # noqa: S608 - constant
            (*mine, change.route),
        ):
            rows.setdefault(stage, []).append(number)
        for stage, state in change.states.items():
            if stage not in rows:
                raise taken_over_error(change.execution)
            first, *others = rows[stage]
            connection.execute("UPDATE stage_state SET state = ?, touched = 1 WHERE id = ?", (state, first))
            for condition, values in where_in("id", others):
                connection.execute(f"DELETE FROM stage_state WHERE {condition}", values)  # noqa: S608 - placeholders
        connection.execute(f"UPDATE stage_state SET until = ? {MINE}", (until_of(store), *mine))  # noqa: S608 - constant
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
