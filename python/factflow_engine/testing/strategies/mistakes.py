"""Mistakes to plant in a valid configuration, by the code of the finding that each must give.

Kept separate from `invalid_configs`, the strategy, because this is a table: a mistake adds what it needs and gets one thing
wrong.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from factflow_engine.testing.strategies.conditions import BAD_NETWORK
from factflow_engine.testing.strategies.text import Path

Document = dict[str, Any]


class Planted(NamedTuple):
    """Place of a mistake: its path, and True if the finding is at the key rather than at the value."""

    path: Path
    at_key: bool = False


Plant = Callable[[Document, str], Planted]
"""Change of a document, in a route of this id."""


def _route(document: Document, name: str) -> Document:
    route: Document = document["routes"][name]
    return route


def _set(*path: str, value: Any, at_key: bool = False) -> Plant:
    """Return the change that sets a field of a route, and makes the sections on the way."""

    def plant(document: Document, name: str) -> Planted:
        inside = _route(document, name)
        for part in path[:-1]:
            if not isinstance(inside.get(part), dict):
                inside[part] = {}
            inside = inside[part]
        inside[path[-1]] = value
        return Planted(("routes", name, *path), at_key)

    return plant


def _top(field: str, value: Any, *inside: str | int, at_key: bool = False) -> Plant:
    def plant(document: Document, name: str) -> Planted:
        del name
        document[field] = value
        return Planted((field, *inside), at_key)

    return plant


def _outbound(value: Document, *inside: str | int, at_key: bool = False) -> Plant:
    """Return the change that adds an outbound to a route."""

    def plant(document: Document, name: str) -> Planted:
        outbound = _route(document, name).setdefault("outbound", [])
        outbound.append(value)
        return Planted(("routes", name, "outbound", len(outbound) - 1, *inside), at_key)

    return plant


def _condition(condition: Any, *inside: str | int, at_key: bool = False) -> Plant:
    return _outbound({"queue": "/topic/out", "condition": condition}, "condition", *inside, at_key=at_key)


def _stage(stage: Document, *inside: str | int, at_key: bool = False) -> Plant:
    """Return the change that adds a stage to a route, with a name of its own."""

    def plant(document: Document, name: str) -> Planted:
        stages = _route(document, name).setdefault("adapters", [])
        stages.append({**stage, "name": stage.get("name", "planted")})
        return Planted(("routes", name, "adapters", len(stages) - 1, *inside), at_key)

    return plant


def _stages(first: Document, second: Document, *inside: str | int) -> Plant:
    """Return the change that adds two stages, the second of which does not go with the first."""

    def plant(document: Document, name: str) -> Planted:
        stages = _route(document, name).setdefault("adapters", [])
        stages += [first, second]
        return Planted(("routes", name, "adapters", len(stages) - 1, *inside))

    return plant


def _message(message: Document, *inside: str | int) -> Plant:
    def plant(document: Document, name: str) -> Planted:
        document["init_message"] = {"payload": 1, "route": name, **message}
        return Planted(("init_message", *inside))

    return plant


def _invalid_id(document: Document, name: str) -> Planted:
    del name
    document["routes"]["a b"] = {}
    return Planted(("routes", "a b"), at_key=True)


def _without_version(document: Document, name: str) -> Planted:
    del name, document["version"]
    return Planted(())


def _without_routes(document: Document, name: str) -> Planted:
    del name
    document["routes"] = {}
    document.pop("init_message", None)
    return Planted(("routes",))


def _same_types(document: Document, name: str) -> Planted:
    _route(document, name)["adapters"] = [{"type": "forward"}, {"type": "forward"}]
    return Planted(("routes", name, "adapters", 1, "type"))


def _nowhere_to_dead_letter(document: Document, name: str) -> Planted:
    for part in (document, *document["routes"].values()):
        part.pop("error_handling", None)
        part.pop("unrouted", None)
    return _set("unrouted", value="dead_letter")(document, name)


def _waits_for_itself(document: Document, name: str) -> Planted:
    document.pop("backpressure", None)  # by which the route's limit and the stage's would differ
    _route(document, name)["backpressure"] = {"group": "planted"}
    return _stage({"type": "forward", "backpressure": {"group": "planted"}}, "backpressure", "group")(document, name)


def _leaf(**changes: Any) -> Document:
    return {"field": "id", "operator": "eq", "value": 1, **changes}


_FIXED: Final = {"algorithm": "fixed"}

MISTAKES: Final[Mapping[str, tuple[Plant, ...]]] = {
    "E006": (_top("version", "2.0"),),
    "E101": (_set("nmae", value="a", at_key=True), _top("nmae", "a", at_key=True)),
    "E102": (_without_version, _stage({"config": {}})),
    "E103": (_stage({"type": "no_such_type"}, "type"),),
    "E104": (_set("inbound", "concurrency", value="8"), _top("description", True)),
    "E105": (_set("outbound_mode", value="some"), _set("unrouted", value="drop")),
    "E106": (_invalid_id, _stage({"type": "forward", "name": "a/b"}, "name")),
    "E107": (_stages({"type": "forward", "name": "twice"}, {"type": "count", "name": "twice"}, "name"),),
    "E108": (_same_types,),
    "E109": (_without_routes,),
    "E201": (_message({"route": "nowhere"}, "route"),),
    "E202": (_outbound({"route": "nowhere"}, "route"),),
    "E203": (_outbound({"external": True}),),
    "E204": (_outbound({"queue": "out"}, "queue"), _set("inbound", "queue", value="in")),
    "E205": (_message({"payload": 2**64}, "payload"),),
    "E206": (_nowhere_to_dead_letter,),
    "E207": (_set("error_handling", "dead_letter_queue", value="/topic/dead"),),
    "E208": (_top("storage", {"url": "gopher://host"}, "url"),),
    "E210": (_top("lineage", {"url": "gopher://host"}, "url"),),
    "E301": (_stage({"type": "keep", "config": {"field": "id", "feild": "id"}}, "config", "feild", at_key=True),),
    "E302": (_stage({"type": "keep", "config": {}}, "config", at_key=True),),
    "E303": (_stage({"type": "fan_out", "config": {"copies": -1}}, "config", "copies"),),
    "E307": (_stage({"type": "forward", "isolation": "thread"}, "isolation"),),
    "E401": (_condition(_leaf(operator="equals"), "operator"),),
    "E402": (_condition(_leaf(operator="gt", value=True), "value"),),
    "E403": (_condition(_leaf(operator="matches", value="(?=a)"), "value"),),
    "E404": (_condition(_leaf(field="a..b"), "field"), _set("circuit_breaker", "key", value="a..b")),
    "E405": (_condition({**_leaf(), "vlaue": 1}, "vlaue", at_key=True),),
    "E406": (_condition({"field": "id", "operator": "eq"}),),
    "E407": (_condition({"all_of": []}, "all_of"),),
    "E409": (_condition({"all_of": [5]}, "all_of", 0),),
    "E410": (_condition(_leaf(value={"$bin": "!"}), "value", "$bin"),),
    "E411": (_condition(_leaf(operator="between", value=[2, 1]), "value"),),
    "E412": (_condition(BAD_NETWORK, "value"),),
    "E501": (_set("error_handling", "max_retries", value=-1), _set("inbound", "concurrency", value=0)),
    "E502": (_set("backpressure", value={"min_concurrency": 5, "max_concurrency": 4}),),
    "E503": (_set("backpressure", value={"algorithm": "magic"}),),
    "E504": (_set("backpressure", value={"algorithm": "aimd", "parameters": {"backoff": 0.1}}),),
    "E505": (
        _stages(
            {"type": "forward", "name": "one", "backpressure": {"group": "planted"}},
            {"type": "forward", "name": "two", "backpressure": {"group": "planted", "max_concurrency": 3}},
            "backpressure",
            "group",
        ),
    ),
    "E506": (_waits_for_itself,),
    "E507": (_set("backpressure", value={**_FIXED, "key": "id"}),),
}
"""Mistakes by code; each adds to one route, or to the document, and gives no other error."""


def _tens(anchor: str) -> str:
    return ", ".join([f"*{anchor}"] * 10)


_TENS: Final = ", ".join("0" * 10)

LINES: Final[Mapping[str, str]] = {
    "E001": "]",
    "E002": 'version: "1.0"',
    "E005": f"description: [&a [{_TENS}], {', '.join(f'&{new} [{_tens(old)}]' for old, new in zip('abcd', 'bcde', strict=True))}]",
    "E004": f"description: {'[' * 64}{']' * 64}",
    "E007": "description: ${FACTFLOW_NOT_DEFINED}",
    "E010": "\tdescription: a",
    "E011": "description: !secret a",
    "E012": "---",
    "E013": "<<: {name: a}",
    "E014": "description: *nowhere",
    "E015": "1: a",
    "E018": 'description: "\x07"',
    "E019": "description: ${9}",
    "E020": f"description: {'9' * 500}",
}
"""Mistakes of the text by code: lines to add at the end of a document without `description`."""
