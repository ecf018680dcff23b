"""Reason why an adapter type is not registered, although an installed distribution offers it.

Kept separate from the registry because it reads the metadata of installed distributions, which only errors need.
"""

from importlib.metadata import entry_points
from typing import Final

ENTRY_POINT_GROUP: Final = "factflow.adapters"


def offers() -> dict[str, str]:
    """Return the installed plug-ins by the adapter type that they name: `{"shout": "shout = acme:Shout of acme"}`."""
    found = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        distribution = f" of {point.dist.name}" if point.dist is not None else ""
        found[point.name] = f"{point.name} = {point.value}{distribution}"
    return found


def not_searched(offer: str) -> tuple[str, str]:
    """Return the problem and its remedy for a plug-in that is installed, and that nobody has searched for."""
    return (
        f"the installed plug-in {offer} names it, and this registry has not searched for plug-ins",
        "call auto_discover_and_register(registry) before the configuration is loaded",
    )
