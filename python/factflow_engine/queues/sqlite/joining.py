"""A process that joins an execution: takes over what nobody owns, and compares how stages are configured.

Kept separate from `owners`, which has what an owner does then, because only joining decides about stages: which keep a
state, which are new, and which cannot share one.
"""

import json
from collections.abc import Mapping, Sequence

from factflow_engine.queues.sqlite.owners import LIVING, MINE, OPENING, take_over, unfinished_of, until_of
from factflow_engine.queues.sqlite.statements import insert_rows
from factflow_engine.queues.sqlite.store import Store
from factflow_protocols import Clash, Joined, StageShape, StoredState

Place = tuple[str, str]
"""Route id and name of a stage."""


def join(
    store: Store,
    *,
    execution: str,
    stages: Sequence[Place],
    opens: bool,
    shapes: Mapping[Place, StageShape],
) -> Joined:
    """See `StateProtocol.join`."""
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
    states = take_over(store, execution, owner)
    [others] = connection.execute(
        f"SELECT count(DISTINCT owner) FROM stage_state {LIVING}",  # noqa: S608 - constant
        (execution, owner, store.now_ns),
    ).fetchone()
    idle = frozenset(place for place, touched in known.items() if touched & {1, 2} == {2} and not others)
    mine = {(state.route, state.stage) for state in states}
    connection.executemany(
        f"UPDATE stage_state SET shape = ? {MINE} AND (route, stage) = (?, ?)",  # noqa: S608 - constant
        [(_text_of(shapes[place]), execution, owner, *place) for place in mine if place in shapes],
    )
    # A stage that had no state in this unfinished execution must finish with the rest.
    added = [place for place in stages if unfinished and place not in known]
    insert_rows(
        connection,
        "INSERT INTO stage_state(execution, route, stage, owner, since, until, touched, shape) VALUES ",
        [
            (execution, *place, owner, since, until_of(store), 2 if place in added else 0, _text_of(shapes.get(place)))
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
