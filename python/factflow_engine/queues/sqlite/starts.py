"""Start of an execution: begin or resume is decided, and init messages are published, in one transaction.

Kept separate from the queues because it concerns an execution as a whole. A process that dies before the transaction
has published nothing, one that dies after it has published everything; of several that start one id at the same time
the first publishes, and the others find the execution open.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from factflow_engine.queues.naming import owner_of
from factflow_engine.queues.sqlite.encoding import Encoded
from factflow_engine.queues.sqlite.lines import subscription_key
from factflow_engine.queues.sqlite.looking import depth_of
from factflow_engine.queues.sqlite.owners import begin_stages, forget_idle, unfinished_of
from factflow_engine.queues.sqlite.publishing import PublishBeyondCapacity
from factflow_engine.queues.sqlite.store import Request, Store
from factflow_protocols import Begun, Holding, QueueError

_RECORD: Final = "INSERT OR REPLACE INTO run(execution, ended, reads) VALUES (?, NULL, ?)"


class Beginning(NamedTuple):
    """Result of a `Begin`: how the execution was started, and the number of new messages of each line."""

    begun: Begun
    added: dict[int, int]


class Begin(Request[Beginning]):
    """Publish the init messages of an execution, unless it is resumed."""

    def __init__(
        self,
        execution: str,
        reads: Sequence[tuple[str, str]],
        messages: Sequence[tuple[str, Encoded]],
        *,
        asked_ns: int,
        owner: int = 0,
    ) -> None:
        """Prepare.

        Args:
            execution: Prefix of the names of its queues.
            reads: Queue and subscription of each of its routes.
            messages: Queue and init messages, in order.
            asked_ns: Wall time at which the start was requested.
            owner: The process's number among those that keep states of stages; 0 for none.
        """
        self.queue = execution
        self.weight = sum(message.size for _, message in messages)
        self._execution = execution
        self._reads = reads
        self._messages = messages
        self._asked_ns = asked_ns
        self._owner = owner

    def apply(self, store: Store) -> Beginning:
        """See `Request`."""
        ended, reads = _state(store, self._execution, self._reads)
        unfinished = unfinished_of(store, self._execution)
        left = _depth(store, reads) + unfinished
        if not left and ended is not None and ended > self._asked_ns:
            return Beginning(Begun(published=False, left=0), {})  # it was open when this start was requested
        goes_on = left > 0 or ended is None
        added: dict[int, int] = {}
        for queue, message in () if goes_on else self._messages:
            published = PublishBeyondCapacity(queue, message, wary=True).apply(store)
            for line, count in published.added.items():
                added[line] = added.get(line, 0) + count
        store.connection.execute(_RECORD, (self._execution, json.dumps(sorted(reads))))
        # An execution that was never begun may have messages: published before the first process started.
        is_first = not goes_on or (ended == 0 and not unfinished)
        if is_first and self._owner:
            begin_stages(store, self._execution, self._owner)
        begun = Begun(published=not goes_on, left=left, unfinished=unfinished, is_first=is_first)
        return Beginning(begun, added)


def end(store: Store, execution: str, reads: Sequence[tuple[str, str]], *, failed: bool = False) -> int:
    """Close an execution if nothing is left of it; return how much is left.

    After a failure, stages need not finish if there is nothing else to do: they have had no effect.
    """
    ended, known = _state(store, execution, reads)
    left = left_of(store, execution, known)
    if failed and left and not _depth(store, known):
        forget_idle(store, execution)
        left = left_of(store, execution, known)
    if ended is None and not left:
        store.connection.execute("UPDATE run SET ended = ? WHERE execution = ?", (store.now_ns, execution))
    return left


def left_of(store: Store, execution: str, reads: Iterable[tuple[str, str]]) -> int:
    """Return the work left of an execution: messages of its routes, and stages with a state that did not finish.

    The only definition: an execution with work left is resumed, one without can be closed.
    """
    return _depth(store, reads) + unfinished_of(store, execution)


def _depth(store: Store, reads: Iterable[tuple[str, str]]) -> int:
    return sum(depth_of(store, queue, subscription) for queue, subscription in reads)


def holdings(store: Store, execution: str) -> list[Holding]:
    """Return the queues and subscriptions of an execution that hold messages."""
    rows = store.connection.execute(
        "SELECT queue, subscription, tail - cursor + held FROM line WHERE tail - cursor + held > 0 "
        "AND (substr(queue, 1, ?1) = ?2 OR substr(subscription, 1, ?1) = ?2) ORDER BY queue, subscription",
        (len(execution), execution),
    )
    return [Holding(*row) for row in rows]


def owned_by(store: Store, execution: str) -> list[tuple[str, str]]:
    """Return the queues and subscriptions of an execution; a queue's subscription is empty."""
    rows = store.connection.execute(
        "SELECT queue, subscription FROM line WHERE substr(queue, 1, ?1) = ?2 OR substr(subscription, 1, ?1) = ?2 "
        "ORDER BY queue, subscription",
        (len(execution), execution),
    )
    return rows.fetchall()


def is_known(store: Store, execution: str) -> bool:
    """True if an execution was begun, whether or not it was closed."""
    return store.connection.execute("SELECT 1 FROM run WHERE execution = ?", (execution,)).fetchone() is not None


def forget_execution(store: Store, execution: str) -> None:
    """Make the next start of an execution begin it."""
    store.connection.execute("DELETE FROM run WHERE execution = ?", (execution,))


def forget_run(store: Store, queue: str, subscription: str) -> None:
    """Make the next start begin the execution whose line an operator emptied or removed, if nothing is left of it."""
    execution = owner_of(queue, subscription)
    if execution is not None:
        forget_execution(store, execution)


def _state(store: Store, execution: str, reads: Sequence[tuple[str, str]]) -> tuple[int | None, set[tuple[str, str]]]:
    """Return when the execution was closed (0: never begun; None: open), and what its routes read so far."""
    lines = {(queue, subscription_key(queue, subscription)) for queue, subscription in reads}
    row = store.connection.execute("SELECT ended, reads FROM run WHERE execution = ?", (execution,)).fetchone()
    if row is None:
        return 0, lines
    ended, text = row
    if ended is not None:
        return ended, lines
    try:
        return None, {*lines, *((str(queue), str(subscription)) for queue, subscription in json.loads(text))}
    except (TypeError, ValueError) as error:
        problem = "its row in the table `run` is damaged; `factflow queue purge` of one of its queues removes it"
        raise QueueError(execution, problem) from error
