"""Check of a built configuration's queue names against the provider that an execution will use.

Kept separate from the wiring, which checks names while the text is read: a manager checks again when it starts an
execution, because the configuration may have been loaded for another provider, and this check needs neither the models
nor the YAML parser.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from factflow_engine.config.findings import ConfigurationError
from factflow_engine.config.nodes import Path

if TYPE_CHECKING:
    from factflow_engine.config.models import PipelineGlobalConfig


def check_queue_names(config: PipelineGlobalConfig, validate_name: Callable[[str], str | None]) -> None:
    """Check every queue name with a provider.

    Raises:
        ConfigurationError: The provider refuses some: one finding for each, where the name is written.
    """
    refused = [(path, name, problem) for path, name in _names(config) if (problem := validate_name(name)) is not None]
    if refused:
        from factflow_engine.config import building  # noqa: PLC0415 - late: names are refused rarely

        raise ConfigurationError(building.queue_name_findings(config, refused))


def _names(config: PipelineGlobalConfig) -> Iterator[tuple[Path, str]]:
    letters: list[tuple[Path, str | None]] = [((), config.error_handling.dead_letter_queue)]
    for route_id, route in config.routes.items():
        path: Path = ("routes", route_id)
        letters.append((path, route.error_handling.dead_letter_queue))
        yield (*path, "inbound", "queue"), route.inbound.queue
        for index, outbound in enumerate(route.outbound):
            if outbound.queue is not None:
                yield (*path, "outbound", index, "queue"), outbound.queue
    for path, name in letters:
        if name is not None:
            yield (*path, "error_handling", "dead_letter_queue"), name
