"""Properties of a pipeline's routing: proved from its configuration, or refuted by a message.

Kept separate from the loader because these questions take a search, and because their answers are no errors: a route
may well leave messages to nobody. What adapters do to messages is not known here, so that each condition is asked of
every message.
"""

from factflow_engine.analysis.differences import Difference, differences
from factflow_engine.analysis.promises import MostHeld, dead_lettered, keeps_order, most_held
from factflow_engine.analysis.properties import (
    PROPERTIES,
    check_routing,
    covering,
    exclusive,
    live_conditions,
    loops_end,
    reachable,
)
from factflow_engine.analysis.verdict import Status, Verdict

__all__ = [
    "PROPERTIES",
    "Difference",
    "MostHeld",
    "Status",
    "Verdict",
    "check_routing",
    "covering",
    "dead_lettered",
    "differences",
    "exclusive",
    "keeps_order",
    "live_conditions",
    "loops_end",
    "most_held",
    "reachable",
]
