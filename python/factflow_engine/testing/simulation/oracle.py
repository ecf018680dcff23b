"""Guarantees that every simulated run is held to, whatever its configuration: nothing lost, counters that balance.

Kept separate from assertions of users (`assertions`): these hold always, and need nothing but the rows and the reports.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from factflow_engine.queues.naming import is_topic
from factflow_engine.runtime.report import ExecutionReport

if TYPE_CHECKING:
    from factflow_engine.config import PipelineGlobalConfig

_MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A guarantee, or an assertion, that did not hold.

    Attributes:
        name: Name of what should hold.
        text: Description for people: what was expected, and what was found.
        at: Virtual seconds at which it was noticed; None at the end of the run.
    """

    name: str
    text: str
    at: float | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.text}" + ("" if self.at is None else f" (at {self.at:.6f} s)")


@dataclass(slots=True)
class Conservation:
    """Ends that there must be: of each message in a route of each subscription of its queue.

    Routes that share a subscription share its messages, and those of a point-to-point queue share one.

    Attributes:
        config: The configuration.
        accepted: Ids of messages that were published to a route from outside.
        left: Ids of the messages that left, and of their parents, by queue.
        redelivers: True if a message may be delivered again: then its last end counts, and what an earlier delivery
            emitted may have been undone with it.
        queued: Returns the ids that queues have accepted, if a process has failed or died: what its stages emitted when
            they finished, and no queue accepted, may have been undone. None otherwise.
        delivered_again: Returns whether the first of two messages was delivered again after the last end of the second:
            what it had emitted until then, and did not emit again, may have been undone. None if none ever is.
    """

    config: "PipelineGlobalConfig"
    accepted: Mapping[str, Sequence[bytes]]
    left: Mapping[str, set[bytes]]
    redelivers: bool = True
    queued: Callable[[], Collection[bytes]] | None = None
    delivered_again: Callable[[bytes, bytes], bool] | None = None

    def broken(self, outcomes: Sequence[Sequence[Any]]) -> list[Broken]:
        """Return what was lost, in a run that has completed.

        Args:
            outcomes: Fields of the rows of ends, in order, of all processes.
        """
        ended: dict[str, set[bytes]] = {route: set() for route in self.config.routes}
        parents: dict[str, set[bytes]] = {route: set() for route in self.config.routes}
        parents.update(self.left)
        dead: dict[str, dict[bytes, None]] = {route: {} for route in self.config.routes}
        last: dict[bytes, tuple[bytes | None, str]] = {}
        sent: dict[str, dict[str, set[bytes]]] = {route: {} for route in self.config.routes}  # by detail of the row
        became: dict[str, dict[bytes, int]] = {route: {} for route in self.config.routes}  # number of its children
        peers = self._peers()
        for _, route, message_id, parent_id, _, outcome, _, _, emitted, detail in outcomes:
            ended[route].add(message_id)
            if self.redelivers:
                for peer in peers[route]:
                    for ids in sent[peer].values():
                        ids.discard(message_id)  # the last end counts, in whichever route it is
                    became[peer].pop(message_id, None)
                    dead[peer].pop(message_id, None)
                last[message_id] = parent_id, outcome
            if parent_id is not None:
                parents[route].add(parent_id)
            if outcome == "completed":
                if detail is not None:
                    by_detail = sent[route]
                    if detail in by_detail:
                        by_detail[detail].add(message_id)
                    else:
                        by_detail[detail] = {message_id}
                elif emitted:
                    became[route][message_id] = emitted
            elif outcome == "dead_lettered":
                dead[route][message_id] = None
        broken = []
        for route, accepted in self.accepted.items():
            for readers in self._readers(self.config.routes[route].inbound.queue):
                lost = [each for each in accepted if not any(each in ended[reader] for reader in readers)]
                if lost:
                    broken.append(_lost(readers, f"published to route {route!r}", lost))
        for route, by_detail in sent.items():
            lost_in: dict[tuple[str, ...], set[bytes]] = {}
            for detail, ids in by_detail.items():
                for readers in self._readers_of(detail):
                    missed = ids.difference(*(parents.get(reader, ()) for reader in readers))
                    missed = {each for each in missed if not self._may_be_undone(each, last)}
                    if missed:
                        lost_in.setdefault(readers, set()).update(missed)
            broken += [_lost(readers, f"that route {route!r} sent", sorted(ids)) for readers, ids in lost_in.items()]
        for route, given_up in dead.items():
            for readers in self._readers(str(self.config.routes[route].error_handling.dead_letter_queue)):
                # in memory a dead letter has the id of the message, elsewhere that is its parent
                lost = [
                    each
                    for each in given_up
                    if not any(each in parents.get(name, ()) or each in ended.get(name, ()) for name in readers)
                ]
                if lost:
                    broken.append(_lost(readers, f"that route {route!r} gave up", lost))
        return broken + _lost_children(became, outcomes)

    def _peers(self) -> Mapping[str, Sequence[str]]:
        """Return for each route those that read its queue, itself included."""
        queues = {section.inbound.queue for section in self.config.routes.values()}
        return {route: readers for queue in queues for readers in self._readers(queue) for route in readers}

    def _may_be_undone(self, message_id: bytes, last: Mapping[bytes, tuple[bytes | None, str]]) -> bool:
        """True if a message came of one that was not completed in the end, and that may not have emitted it again.

        Such a message failed, say, when it was delivered for the second time, after a process had died between the first
        delivery's end and its acknowledgement; or it emits something else each time, such as a new number. Or it is of a
        stage that finished in a process that failed then: another process has finished the stage again, with the states
        in another order.
        """
        root, parent_id = message_id, last.get(message_id, (None, ""))[0]
        while parent_id is not None:
            root = parent_id
            parent_id, outcome = last.get(root, (None, "completed"))
            if outcome != "completed":
                return True
            if self.delivered_again is not None and self.delivered_again(root, message_id):
                return True
        return self.queued is not None and root not in self.queued()

    def _readers_of(self, detail: str) -> list[tuple[str, ...]]:
        """Return the readers of what a message's outbounds took."""
        outbounds: Sequence[str] = json.loads(detail).get("outbounds", ())
        routes = self.config.routes
        queues = [routes[outbound].inbound.queue if outbound in routes else outbound for outbound in outbounds]
        return [readers for queue in queues for readers in self._readers(queue)]

    def _readers(self, queue: str) -> list[tuple[str, ...]]:
        """Return the routes that read a queue, by subscription.

        A queue that none reads stands for itself: its messages leave through it. A topic that none reads keeps nothing.
        """
        found: dict[str, list[str]] = {}
        for route, section in self.config.routes.items():
            if section.inbound.queue == queue:
                subscription = section.inbound.subscription if is_topic(queue) else ""
                found.setdefault(subscription, []).append(route)
        if not found and not is_topic(queue):
            return [(queue,)]
        return [tuple(routes) for routes in found.values()]


def _lost_children(became: Mapping[str, Mapping[bytes, int]], outcomes: Sequence[Sequence[Any]]) -> list[Broken]:
    """Return the routes in which fewer children have ended than messages became; more may have, at another delivery."""
    if not any(became.values()):
        return []
    children: dict[str, dict[bytes, set[bytes]]] = {route: {} for route in became}
    for _, route, message_id, parent_id, *_ in outcomes:
        if parent_id in became[route]:
            children[route].setdefault(parent_id, set()).add(message_id)
    broken = []
    for route, parents in became.items():
        ended = {each: len(children[route].get(each, ())) for each in parents}
        few = [
            f"{ended[each]} of {count} that {each.hex()} became"
            for each, count in parents.items()
            if ended[each] < count
        ]
        if few:
            broken.append(Broken(name="nothing is lost", text=f"route {route!r} has ended only {_some(few)}"))
    return broken


def _lost(readers: Sequence[str], which: str, ids: Sequence[bytes]) -> Broken:
    routes = f"route {readers[0]!r} has" if len(readers) == 1 else f"routes {', '.join(map(repr, readers))} have"
    noted = f"queue {readers[0]!r} has given out none" if readers[0].startswith("/") else f"{routes} no end"
    named = _some([each.hex() for each in ids])
    return Broken(name="nothing is lost", text=f"{noted} of {len(ids)} of the messages {which}: {named}")


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else ""
    return ", ".join(texts[:_MOST_NAMED]) + more


def unbalanced(report: ExecutionReport) -> list[Broken]:
    """Return the routes of a report whose counters do not balance, or are negative."""
    broken = []
    for name, route in report.routes.items():
        ended = route.completed + route.filtered + route.dead_lettered + route.failed
        if (
            route.received != ended + route.retrying + route.in_flight
            or min(route.retrying, route.in_flight, ended) < 0
        ):
            broken.append(
                Broken(
                    name="counters balance",
                    text=f"route {name!r}: received {route.received}, ended {ended}, retrying {route.retrying}, "
                    f"in flight {route.in_flight}",
                )
            )
    return broken
