"""States of stages at a simulated broker: who owns which, and what is left to finish.

Plain lists of what the SQLite provider has in tables; each method is one step. An owner is alive until its rows expire; each
change checks first that it still owns them, so that a process that was taken for dead changes nothing. Kept separate from
the messages, with which a state has in common only the step in which it is stored.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

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

OPENING: Final = ("", "")
"""Place of the row that the first process of an execution has while it opens its stages: no stage's."""


class Effects(Enum):
    """Effects in a state."""

    NONE = 0
    """None, and the stage need not finish."""
    SOME = 1
    """Of acknowledged messages."""
    BEGUN = 2
    """None yet, and the stage must finish."""


@dataclass(slots=True, eq=False)
class Row:
    """State of one stage, of one owner.

    Attributes:
        place: The stage.
        owner: Number of the process.
        until_ns: Time until which it is the owner's; 0 if that has left.
        effects: Effects in it.
        state: The state; None if there is none, or the stage makes its effects durable itself.
        shape: Shape of the stage; None if nobody said.
    """

    place: Place
    owner: int
    until_ns: int
    effects: Effects = Effects.NONE
    state: bytes | None = None
    shape: StageShape | None = None


@dataclass(slots=True, eq=False)
class Run:
    """States and answers of one execution.

    Attributes:
        since: Number of its first owner, until everything is forgotten.
        rows: States, in the order in which they were made.
        answers: Answers by route, root, stage and message id.
    """

    since: int
    rows: list[Row] = field(default_factory=list)
    answers: dict[tuple[str, bytes, str, bytes], StoredAnswer] = field(default_factory=dict)


class Owners:
    """States of the stages of all executions; see `StateProtocol` for what the methods do."""

    def __init__(self, *, now_ns: Callable[[], int], wall_ns: Callable[[], int], lease_ns: int) -> None:
        """Prepare.

        Args:
            now_ns: Returns the present time, for leases.
            wall_ns: Returns the present time since 1970, for numbers of owners.
            lease_ns: Duration of an owner's lease.
        """
        self.lease_ns: Final = lease_ns
        self._now_ns = now_ns
        self._wall_ns = wall_ns
        self._runs: dict[str, Run] = {}
        self._newest = 0  # number of the newest owner

    # -- joining ---------------------------------------------------------------------------------------------------

    def join(
        self, execution: str, stages: Sequence[Place], *, opens: bool, shapes: Mapping[Place, StageShape]
    ) -> Joined:
        """See `StateProtocol.join`."""
        now, rows = self._now_ns(), self._rows(execution)
        if any(row.place == OPENING and row.until_ns > now for row in rows):
            return Joined(owner=0, since=0, unfinished=0, others=0, states=(), is_opening=True)
        clashes, changed = _compared(rows, shapes, now)
        if clashes:
            return Joined(owner=0, since=0, unfinished=0, others=0, states=(), clashes=clashes)
        owner = self._newest = max(self._wall_ns(), self._newest + 1)
        run = self._runs[execution] if rows else Run(owner)
        unfinished = sum(row.effects is not Effects.NONE for row in rows)
        known: dict[Place, set[Effects]] = {}
        for row in rows:
            known.setdefault(row.place, set()).add(row.effects)
        kept = frozenset(place for place, effects in known.items() if Effects.SOME in effects)
        states = self._take_over(execution, owner)
        others = len({row.owner for row in self._rows(execution) if row.owner != owner and row.until_ns > now})
        idle = frozenset(
            place
            for place, effects in known.items()
            if Effects.BEGUN in effects and Effects.SOME not in effects and not others
        )
        mine = {(state.route, state.stage) for state in states}
        for row in self._rows(execution):
            if row.owner == owner and row.place in shapes:
                row.shape = shapes[row.place]
        added = [place for place in stages if unfinished and place not in known]  # must finish with the rest
        is_first = opens and not others and (bool(idle) or not unfinished)
        self._runs[execution] = run
        run.rows += [
            Row(
                place,
                owner,
                now + self.lease_ns,
                Effects.BEGUN if place in added else Effects.NONE,
                shape=shapes.get(place),
            )
            for place in ([*stages, OPENING] if is_first else stages)
            if place not in mine
        ]
        return Joined(
            owner=owner,
            since=run.since,
            unfinished=unfinished,
            others=others,
            states=[*states, *(StoredState(route=route, stage=stage, state=None) for route, stage in added)],
            kept=kept,
            idle=idle,
            changed=changed,
        )

    def opened(self, execution: str, owner: int) -> None:
        """See `StateProtocol.opened`."""
        self.renew(execution, owner)
        self._keep(execution, lambda row: row.owner != owner or row.place != OPENING)

    def begin(self, execution: str, owner: int) -> None:
        """See `StateProtocol.begin`."""
        for row in self._rows(execution):
            if row.owner == owner and row.effects is Effects.NONE and row.place != OPENING:
                row.effects = Effects.BEGUN

    # -- owners ----------------------------------------------------------------------------------------------------

    def renew(self, execution: str, owner: int) -> None:
        """See `StateProtocol.renew`."""
        mine = [row for row in self._rows(execution) if row.owner == owner]
        if not mine:
            raise _taken_over_error(execution)
        for row in mine:
            if row.until_ns:  # one that has left stays so, whatever was under way
                row.until_ns = self._now_ns() + self.lease_ns

    def conclude(self, execution: str, owner: int, seen: Mapping[int, int]) -> Conclusion:
        """See `StateProtocol.conclude`."""
        self.renew(execution, owner)
        now, others = self._now_ns(), dict[int, int]()
        for row in self._rows(execution):
            if row.owner != owner and row.until_ns > now:
                others[row.owner] = max(row.until_ns, others.get(row.owner, 0))
        states = self._take_over(execution, owner)
        handed_over = any(until != seen.get(other, until) for other, until in others.items())
        if handed_over:
            self.leave(execution, owner)
        elif not others:  # later effects belong to this run of the execution, if a stage finishes, whoever repeats them
            mine = [row for row in self._rows(execution) if row.owner == owner]
            if any(row.effects is not Effects.NONE for row in mine):
                for row in mine:
                    row.effects = Effects.SOME
        return Conclusion(handed_over=handed_over, others=others, states=states)

    def leave(self, execution: str, owner: int) -> None:
        """See `StateProtocol.leave`."""
        mine = [row for row in self._rows(execution) if row.owner == owner]
        if all(row.effects is Effects.NONE for row in mine):
            self._keep(execution, lambda row: row.owner != owner)
        for row in mine:  # they stay, also those without effect: they tell a stage that was there from a new one
            row.until_ns = 0

    def forget(self, execution: str, owner: int) -> bool:
        """See `StateProtocol.forget`."""
        over = self._over(execution, owner)
        if any(row.effects is not Effects.NONE for row in over):
            return False
        self._keep(execution, lambda row: row.owner != owner and row not in over)
        if not self._rows(execution):
            self._runs.pop(execution, None)
        return True

    def _take_over(self, execution: str, owner: int) -> list[StoredState]:
        """Take over the rows of owners that have left or died; drop those without any effect."""
        over = self._over(execution, owner)
        self._keep(execution, lambda row: row not in over or row.effects is not Effects.NONE)
        taken = [row for row in over if row.effects is not Effects.NONE]
        for row in taken:
            row.owner, row.until_ns = owner, self._now_ns() + self.lease_ns
        return [StoredState(route=row.place[0], stage=row.place[1], state=row.state) for row in taken]

    def _over(self, execution: str, owner: int) -> list[Row]:
        now = self._now_ns()
        return [row for row in self._rows(execution) if row.owner != owner and row.until_ns <= now]

    # -- effects and answers ---------------------------------------------------------------------------------------

    def change(self, change: StateChange) -> None:
        """Store a change.

        Raises:
            QueueError: Another process has taken over the states; nothing was changed.
        """
        rows: dict[str, list[Row]] = {}
        mine = [row for row in self._rows(change.execution) if row.owner == change.owner]
        for row in mine:
            if row.place[0] == change.route:
                rows.setdefault(row.place[1], []).append(row)
        if any(stage not in rows for stage in change.states):
            raise _taken_over_error(change.execution)
        for stage, state in change.states.items():
            first, *others = rows[stage]
            first.state, first.effects = state, Effects.SOME
            self._drop(change.execution, others)
        for row in mine:
            row.until_ns = self._now_ns() + self.lease_ns
        run = self._runs.setdefault(change.execution, Run(0))
        settled = set(change.settled)
        run.answers = {
            key: answer for key, answer in run.answers.items() if key[0] != change.route or key[1] not in settled
        }
        for answer in change.answers:
            run.answers[change.route, answer.root, answer.stage, answer.message_id] = answer

    def answers(self, execution: str, route: str, roots: Sequence[bytes]) -> list[StoredAnswer]:
        """See `StateProtocol.answers`."""
        run, wanted = self._runs.get(execution), set(roots)
        if run is None:
            return []
        return [answer for key, answer in run.answers.items() if key[0] == route and key[1] in wanted]

    # -- what is left ----------------------------------------------------------------------------------------------

    def unfinished(self, execution: str) -> int:
        """Return the number of states without a `finish`."""
        return sum(row.effects is not Effects.NONE for row in self._rows(execution))

    def forget_idle(self, execution: str) -> None:
        """Cancel the obligation of stages to finish, if none has had an effect and no running process could finish them."""
        now = self._now_ns()
        if not any(row.effects is Effects.SOME or row.until_ns > now for row in self._rows(execution)):
            self._keep(execution, lambda _: False)

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _rows(self, execution: str) -> list[Row]:
        run = self._runs.get(execution)
        return [] if run is None else run.rows

    def _keep(self, execution: str, is_kept: Callable[[Row], bool]) -> None:
        run = self._runs.get(execution)
        if run is not None:
            run.rows = [row for row in run.rows if is_kept(row)]

    def _drop(self, execution: str, rows: Sequence[Row]) -> None:
        if rows:
            self._keep(execution, lambda row: row not in rows)


def _compared(
    rows: Sequence[Row], shapes: Mapping[Place, StageShape], now_ns: int
) -> tuple[list[Clash], frozenset[Place]]:
    """Return the stages whose state cannot be shared, being of another kind, and those configured differently."""
    clashes: dict[Place, Clash] = {}
    changed: set[Place] = set()
    for row in rows:
        is_living = row.until_ns > now_ns
        mine = shapes.get(row.place)
        if row.shape is None or mine is None or mine == row.shape or not (row.effects is Effects.SOME or is_living):
            continue
        if is_living or row.shape.adapter != mine.adapter:
            route, stage = row.place
            clash = Clash(route=route, stage=stage, adapter=row.shape.adapter, is_living=is_living)
            clashes.setdefault(row.place, clash)
        else:
            changed.add(row.place)
    return list(clashes.values()), frozenset(changed)


def _taken_over_error(execution: str) -> QueueError:
    return QueueError(
        execution,
        "another process has taken over what stages of this one keep: it did not renew its lease in time; give the broker "
        "a longer one (lease_seconds)",
    )
