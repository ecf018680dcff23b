"""Adapters by name: the registry, discovery of plug-ins, and the built-in adapters.

The registry is an object that is passed around, never a global: two engines in one process may know different types.
Discovery is imported on first use, because it needs the metadata of installed distributions.
"""

from typing import TYPE_CHECKING, Any, Final

from factflow_engine.adapters.registry import AdapterSpec, ValidatingAdapterRegistry
from factflow_engine.names import first_use

if TYPE_CHECKING:
    from factflow_engine.adapters.discovery import (
        AdapterDiscovery,
        DiscoveryProblem,
        DiscoveryReport,
        auto_discover_and_register,
    )

_MODULES: Final = {
    "AdapterDiscovery": "factflow_engine.adapters.discovery",
    "DiscoveryProblem": "factflow_engine.adapters.discovery",
    "DiscoveryReport": "factflow_engine.adapters.discovery",
    "auto_discover_and_register": "factflow_engine.adapters.discovery",
}

__all__ = [
    "AdapterDiscovery",
    "AdapterSpec",
    "DiscoveryProblem",
    "DiscoveryReport",
    "ValidatingAdapterRegistry",
    "auto_discover_and_register",
]


def __getattr__(name: str) -> Any:
    return first_use(name, namespace=globals(), modules=_MODULES)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
