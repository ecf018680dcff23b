"""Configurations of routes that switch, and what their outbounds take by the reference."""

from conditions import generators, reference
from factflow_engine import PipelineConfigLoader, ValidatingAdapterRegistry

LOADER = PipelineConfigLoader(ValidatingAdapterRegistry())


def route(*outbound, mode="all", **settings):
    return {"outbound": list(outbound), "outbound_mode": mode, **settings}


def loaded(routes, **document):
    return LOADER.load_mapping({"version": "1.0", "routes": routes, **document})


def is_written(value):
    """True if YAML has words for a value: others are given to conditions in programs only."""
    if isinstance(value, dict):
        return all(map(is_written, value.values()))
    if type(value) is list:
        return all(map(is_written, value))
    return value is None or (isinstance(value, (bool, int, float, str)) and value not in {10**400, -(10**400)})


def switch(random):
    """A route with outbounds by drawn conditions, and messages that they have to do with."""
    near = generators.message(random)
    drawn = (generators.condition(random, near=near) for _ in range(random.choice([1, 2, 3])))
    conditions = [condition if is_written(condition) else leaf("a", "eq", 1) for condition in drawn]
    return conditions, random.choice(["all", "first"]), [near, *(generators.message(random) for _ in range(20))]


def takers(conditions, mode, message):
    found = [place for place, condition in enumerate(conditions) if reference.holds(condition, message)]
    return found[:1] if mode == "first" else found


def leaf(field, operator, value=True):
    return {"field": field, "operator": operator, "value": value}
