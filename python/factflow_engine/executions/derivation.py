"""Derivation of a replay's configuration: the part of a pipeline that its messages still have to pass.

What a stage has stored enters where its output went. If nothing that runs leads back into the stage's route, that route
begins at the stage after it; its id stays, so that keys and lineage read alike. Otherwise the route stays whole, and a route
of its own, with the rest of its stages and the same outbounds, is the entry. Routes that no replayed message can reach are
left out, with their adapters, and so are the init messages. The result is an ordinary configuration in written form: the
loader checks it, it is hashed, and it is stored as the replay's snapshot.

Kept separate from `replay` because nothing here awaits, and no adapter and no environment is needed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from factflow_engine.error_texts import sole_cause
from factflow_engine.executions.written_stages import Place, name_of, routes_of, stages_of
from factflow_engine.queues.naming import is_topic
from factflow_protocols import FactflowError

_LONGEST_ID: Final = 128
_MOST_NAMED: Final = 8


class ReplayError(FactflowError):
    """Replay or recovery that cannot be made as it was asked for; the caller must act. Nothing was started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """Configuration of a replay.

    Attributes:
        written: The configuration in written form.
        entry: Id of the route that the messages are published to.
        runs: Stages that run, as `route/stage`.
        skipped: Stages of the pipeline that do not.
    """

    written: Mapping[str, Any]
    entry: str
    runs: tuple[str, ...]
    skipped: tuple[str, ...]


def find_stage(written: Mapping[str, Any], stage: str, route: str | None, *, of: str) -> Place:
    """Return the place of a stage that stores.

    Args:
        written: The configuration of the execution that stored.
        stage: Name of the stage.
        route: Route id; needed if several routes have a stage of that name that stores.
        of: Name of the configuration, for errors.

    Raises:
        ReplayError: There is none, or it stores nothing, or several do.
    """
    stages = list(stages_of(written))
    named = [one.place for one in stages if one.place.stage == stage and route in {None, one.place.route}]
    storing = [one.place for one in stages if one.stores]
    stored = [place for place in storing if place in named]
    if len(stored) == 1:
        return stored[0]
    if len(stored) > 1:
        routes = ", ".join(place.route for place in stored)
        raise ReplayError(f"several routes of {of} have a stage {stage!r}: {routes}; name one with --from-route")
    ready = _listed(map(_shown, storing))
    hint = f"those that do: {ready}" if ready else "none of its stages does; give one `store: true`, and run it again"
    if named:
        where = ", ".join(map(_shown, named))
        raise ReplayError(f"stage {where} of {of} stores nothing; {hint}")
    for place in storing:
        if stage == _shown(place):
            raise ReplayError(
                f"expected the name of a stage, got {stage!r}; write --from-stage {place.stage} --from-route {place.route}"
            )
    at = "" if route is None else f" in route {route!r}"
    raise ReplayError(f"{of} has no stage {stage!r}{at} that stores; {hint}")


def after_stage(written: Mapping[str, Any], place: Place, *, of: str) -> Derived:
    """Return the configuration whose entry is behind a stage, or at it if its inputs are stored.

    Args:
        written: Configuration to run.
        place: Place of the stage in the execution that stored; it is looked for by its names.
        of: Name of the configuration, for errors.

    Raises:
        ReplayError: The configuration has no such stage, or nothing follows it.
    """
    routes = routes_of(written)
    route = routes.get(place.route)
    names = [name_of(stage) for stage in route.get("adapters") or ()] if route is not None else []
    if route is None or place.stage not in names:
        known = _listed(_shown(one.place) for one in stages_of(written))
        raise ReplayError(
            f"{of} has no stage {place.route}/{place.stage} to go on from; it has {known or 'no stages'}; name the route "
            "that is to get the messages with --to-route"
        )
    first = names.index(place.stage) + (place.what == "output")
    rest = {**route, "adapters": list(route["adapters"][first:])}
    if not rest["adapters"] and not route.get("outbound"):
        raise ReplayError(
            f"nothing follows stage {place.route}/{place.stage} of {of}: it is the last one of a route without outbounds; "
            "name another stage, or the route that is to get the messages with --to-route"
        )
    return _derived(written, place.route, rest, first)


def into_route(written: Mapping[str, Any], route_id: str, *, of: str) -> Derived:
    """Return the configuration whose entry is a route, from its first stage on.

    Raises:
        ReplayError: There is no such route.
    """
    routes = routes_of(written)
    if route_id not in routes:
        raise ReplayError(f"{of} has no route {route_id!r}; it has {_listed(routes)}")
    return _derived(written, route_id, dict(routes[route_id]), 0)


def _derived(written: Mapping[str, Any], route_id: str, entry: dict[str, Any], first: int) -> Derived:
    routes = routes_of(written)
    behind = _reached(routes, _targets(entry, routes))
    leads_back = route_id in behind
    entry_id = _free_id(route_id, routes) if leads_back else route_id
    inbound = dict(entry.get("inbound") or {})
    # The entry gets its own queue: another route's, or a topic, would have other readers, or other writers.
    if leads_back or is_topic(_inbound_queue(route_id, entry)) or _is_shared(route_id, routes, behind):
        inbound |= {"queue": f"/queue/{entry_id}", "subscription": entry_id}
    entry = {**entry, "inbound": inbound}
    kept: dict[str, Any] = {} if not leads_back else {entry_id: entry}
    for name, route in routes.items():
        if name == route_id and not leads_back:
            kept[name] = entry
        elif name in behind:
            kept[name] = route
    changed = {name: value for name, value in written.items() if name not in {"routes", "init_message"}}
    changed["routes"] = kept
    every = [_shown(one.place) for one in stages_of(written)]
    again = [f"{name}/{name_of(stage)}" for name, route in kept.items() for stage in route.get("adapters") or ()]
    idle = [
        f"{name}/{name_of(stage)}"
        for name, route in routes.items()
        for index, stage in enumerate(route.get("adapters") or ())
        if (name not in behind and name != route_id) or (name == route_id and not leads_back and index < first)
    ]
    assert set(idle) <= set(every)
    return Derived(written=changed, entry=entry_id, runs=tuple(again), skipped=tuple(idle))


def _shown(place: Place) -> str:
    return f"{place.route}/{place.stage}"


def _inbound_queue(route_id: str, route: Mapping[str, Any]) -> str:
    return str((route.get("inbound") or {}).get("queue", f"/queue/{route_id}"))


def _targets(route: Mapping[str, Any], routes: Mapping[str, Any]) -> set[str]:
    """Return the queues that a route writes to."""
    found: set[str] = set()
    for outbound in route.get("outbound") or ():
        named = outbound.get("route")
        if named is not None and named in routes:
            found.add(_inbound_queue(named, routes[named]))
        elif outbound.get("queue") is not None:
            found.add(str(outbound["queue"]))
    letters = (route.get("error_handling") or {}).get("dead_letter_queue")
    return found | ({str(letters)} if letters is not None else set())


def _reached(routes: Mapping[str, Any], queues: set[str]) -> set[str]:
    """Return the routes that messages in these queues can reach."""
    readers: dict[str, list[str]] = {}
    for name, route in routes.items():
        readers.setdefault(_inbound_queue(name, route), []).append(name)
    found: set[str] = set()
    waiting, seen = list(queues), set(queues)
    while waiting:
        for name in readers.get(waiting.pop(), ()):
            found.add(name)
            fresh = _targets(routes[name], routes) - seen
            seen |= fresh
            waiting += fresh
    return found


def _is_shared(route_id: str, routes: Mapping[str, Any], behind: Iterable[str]) -> bool:
    """True if another route that runs reads the same queue."""
    queue = _inbound_queue(route_id, routes[route_id])
    return any(name != route_id and _inbound_queue(name, routes[name]) == queue for name in behind)


def _free_id(route_id: str, routes: Mapping[str, Any]) -> str:
    number = 1
    while True:
        ending = ".replay" if number == 1 else f".replay-{number}"
        candidate = route_id[: _LONGEST_ID - len(ending)] + ending
        if candidate not in routes:
            return candidate
        number += 1


def _listed(names: Iterable[str]) -> str:
    all_names = list(names)
    more = f" and {len(all_names) - _MOST_NAMED} more" if len(all_names) > _MOST_NAMED else ""
    return ", ".join(all_names[:_MOST_NAMED]) + more


def in_brief(error: BaseException) -> str:
    """Return the text of an error, out of its groups."""
    return str(sole_cause(error)) if isinstance(error, Exception) else type(error).__name__
