"""Adapters by name: the registry, discovery of plug-ins, and the built-in adapters.

The registry is an object that is passed around, never a global: two engines in one process may know different types.
"""

from factflow_engine.adapters.discovery import (
    AdapterDiscovery,
    DiscoveryProblem,
    DiscoveryReport,
    auto_discover_and_register,
)
from factflow_engine.adapters.registry import AdapterSpec, ValidatingAdapterRegistry

__all__ = [
    "AdapterDiscovery",
    "AdapterSpec",
    "DiscoveryProblem",
    "DiscoveryReport",
    "ValidatingAdapterRegistry",
    "auto_discover_and_register",
]
