"""Check of one route by itself, before there is a document for it.

Kept separate from the loader because it only uses the loader.
"""

from collections.abc import Mapping
from typing import Any, Final

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.config.findings import Finding
from factflow_engine.config.loader import PipelineConfigLoader
from factflow_engine.config.mapping import to_mapping
from factflow_engine.config.models import RouteConfig
from factflow_engine.config.wiring import QueueNameCheck
from factflow_engine.queues.naming import memory_queue_name_problem

_NEEDS_THE_OTHERS: Final = frozenset({"E202", "W201", "W202"})


def validate_route_config(
    route_id: str,
    route: Mapping[str, Any] | RouteConfig,
    *,
    registry: ValidatingAdapterRegistry,
    operators: OperatorRegistry | None = None,
    validate_queue_name: QueueNameCheck = memory_queue_name_problem,
    environ: Mapping[str, str] | None = None,
) -> tuple[Finding, ...]:
    """Return the findings on a route by itself; empty if there are none. Never raises.

    The targets of its outbounds are not checked: they belong to the document. Lines and columns are those of a YAML
    document that holds only this route; the path is more useful.

    Args:
        route_id: Id for the route.
        route: The route in written form, where `${NAME}` is resolved, or its model.
        registry: The adapter types that it may use.
        operators: Operators of conditions besides the built-in ones.
        validate_queue_name: The queue provider's naming rule.
        environ: Variables for `${NAME}`; by default the process's environment.

    Example:
        findings = validate_route_config("shout", {"adapters": [{"type": "shuot"}]}, registry=registry)
        assert [finding.code for finding in findings] == ["E103"]
    """
    loader = PipelineConfigLoader(
        registry, operators=operators, validate_queue_name=validate_queue_name, environ=environ
    )
    mapping = to_mapping(route) if isinstance(route, RouteConfig) else route
    result = loader.check_mapping({"version": "1.0", "routes": {route_id: mapping}}, name=f"<route {route_id}>")
    return tuple(found for found in result.findings if found.code not in _NEEDS_THE_OTHERS)
