"""Requests of a consumer that holds leases: settle, publish and settle, renew, release."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from factflow_engine.queues.sqlite.claiming import replace_holds
from factflow_engine.queues.sqlite.holds import Hold, Return, settle
from factflow_engine.queues.sqlite.publishing import Publish
from factflow_engine.queues.sqlite.state_changes import Change
from factflow_engine.queues.sqlite.statements import insert_rows, numbers, runs_of, where_in, where_within
from factflow_engine.queues.sqlite.store import Request, Store

_LONGEST_DELAY_SECONDS: Final = 10 * 365 * 86_400
"""Longest delay that the file can store; longer ones are cut to it."""


class Settled(NamedTuple):
    """Numbers of messages removed and given back; the others did not belong to this consumer any more."""

    gone: int
    back: int


class Settle(Request[Settled]):
    """Settle messages: acknowledge some, give others back."""

    def __init__(
        self,
        queue: str,
        line: int,
        acked: Mapping[int, int],
        returned: Mapping[int, tuple[int, float, bool]],
        change: Change | None = None,
    ) -> None:
        """Prepare the settlement.

        Args:
            queue: Name of the queue, for errors.
            line: Id of the line.
            acked: Sequence number to token.
            returned: Sequence number to token, delay in seconds, and whether an attempt was spent. A delay that is NaN
            or negative counts as none.
            change: Change of stages' states, stored only if all messages still belong to this consumer.
        """
        self.queue = queue
        self.weight = 32 * (len(acked) + len(returned)) + (0 if change is None else change.weight)
        self._line = line
        self._acked = acked
        self._returned = returned
        self._change = change

    def apply(self, store: Store) -> Settled:
        """See `Request`."""
        tokens = {*self._acked.values(), *(token for token, _, _ in self._returned.values())}
        holds = _holds_of(store, self._line, tokens)
        fates = {
            seq: (token, Return(_due(store, delay), counts)) for seq, (token, delay, counts) in self._returned.items()
        }
        after, gone, back = settle(holds, self._acked, fates)
        if gone or back:
            replace_holds(store, holds, after)
        if gone:
            forget(store, gone)
            store.connection.execute("UPDATE line SET held = held - ? WHERE id = ?", (len(gone), self._line))
        if self._change is not None:
            self._change.apply(store, self.queue, self._line, lost=len(self._acked) - len(gone))
        return Settled(len(gone), back)


class PublishAndSettle(Request[tuple[dict[int, int], Settled] | None]):
    """Publish messages and settle others, in one transaction.

    Returns the number of messages that each line got, by its id, and the settlement; None, with nothing changed, if a
    queue has no room for all of its messages.
    """

    def __init__(self, publications: Sequence[Publish], settlement: Settle) -> None:
        """Prepare; each publication is to another queue."""
        self.queue = settlement.queue
        self.weight = settlement.weight + sum(publication.weight for publication in publications)
        self._publications = publications
        self._settlement = settlement

    def apply(self, store: Store) -> tuple[dict[int, int], Settled] | None:
        """See `Request`."""
        if not all(publication.fits(store) for publication in self._publications):
            return None
        added: dict[int, int] = {}
        for publication in self._publications:
            added.update(publication.apply(store).added)
        return added, self._settlement.apply(store)


class Renew(Request[list[Hold]]):
    """Extend leases; return what they still cover: another consumer may have got the rest."""

    def __init__(self, queue: str, line: int, tokens: Sequence[int]) -> None:
        self.queue = queue
        self._line = line
        self._tokens = tokens

    def apply(self, store: Store) -> list[Hold]:
        """See `Request`."""
        until = store.now_ns + round(store.settings.lease_seconds * 1e9)
        for condition, values in where_in("token", self._tokens):
            store.connection.execute(
                f"UPDATE hold SET due = ? WHERE token > 0 AND line = ? AND {condition}",  # noqa: S608 - placeholders
                (until, self._line, *values),
            )
        return _holds_of(store, self._line, self._tokens)


class Release(Request[int]):
    """End leases, so that their messages can be handed out at once, with no attempt spent. Return their number."""

    def __init__(self, queue: str, line: int, tokens: Sequence[int]) -> None:
        self.queue = queue
        self._line = line
        self._tokens = tokens

    def apply(self, store: Store) -> int:
        """See `Request`."""
        holds = _holds_of(store, self._line, self._tokens)
        replace_holds(store, (), [hold._replace(due=0, token=0) for hold in holds])
        return sum(hold.size for hold in holds)


def _due(store: Store, delay_seconds: float) -> int:
    if not delay_seconds > 0:  # NaN is neither
        return 0
    return store.now_ns + round(min(delay_seconds, _LONGEST_DELAY_SECONDS) * 1e9)


def _holds_of(store: Store, line: int, tokens: Sequence[int] | set[int]) -> list[Hold]:
    found = []
    for condition, values in where_in("token", list(tokens)):
        found += numbers(
            store.connection,
            ("low", "high", "line", "due", "token", "attempts"),
            f"FROM hold WHERE token > 0 AND line = ? AND {condition}",
            (line, *values),
        )
    return [Hold(*row) for row in found]


def forget(store: Store, gone: Sequence[int]) -> None:
    """Delete settled messages, or note the end of their retention."""
    runs = runs_of(gone)
    if store.settings.retention_seconds > 0:
        until = store.now_ns // 1_000_000_000 + round(store.settings.retention_seconds)
        rows = [(low, high, until) for low, high in runs]
        insert_rows(store.connection, "INSERT OR REPLACE INTO settled(low, high, until) VALUES ", rows)
        return
    for condition, values in where_within("seq", runs):
        store.connection.execute(f"DELETE FROM message WHERE {condition}", values)  # noqa: S608 - placeholders
