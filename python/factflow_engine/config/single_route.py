"""One route checked by itself, before there is a document to put it into.

Kept separate from the loader because it is a use of it.
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
    """Everything that is wrong with a route by itself; empty if nothing is. Never raises.

    Whether the routes that its outbounds name exist is not asked: that is the document's affair. Lines and columns
    are those of a document that holds this route alone, as YAML; the path says as much.

    Args:
        route_id: The id it is to have.
        route: The route as it would stand in the document (in written form: `${NAME}` is resolved), or its model.
        registry: The adapter types that it may use.
        operators: Operators of conditions besides the built-in ones.
        validate_queue_name: The queue provider's naming rule.
        environ: Where `${NAME}` is looked up; by default the process's environment.
    """
    loader = PipelineConfigLoader(
        registry, operators=operators, validate_queue_name=validate_queue_name, environ=environ
    )
    mapping = to_mapping(route) if isinstance(route, RouteConfig) else route
    result = loader.check_mapping({"version": "1.0", "routes": {route_id: mapping}}, name=f"<route {route_id}>")
    return tuple(found for found in result.findings if found.code not in _NEEDS_THE_OTHERS)
