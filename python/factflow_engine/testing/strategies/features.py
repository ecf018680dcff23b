"""Parts of a configuration that a test may want drawn, or not.

Kept separate because both the strategy's signature and its checks need the names.
"""

from collections.abc import Collection
from typing import Final

from factflow_engine.testing.strategies.errors import StrategyError

FEATURES: Final = (
    "conditions", "errors", "init_messages", "limits", "breakers", "inbound", "stages", "outbounds", "queues", "storage",
    "lineage", "settings", "texts",
)  # fmt: skip
"""Features of drawn configurations: `conditions` of stages and outbounds; `errors`, the `error_handling` of routes and of
the document; `init_messages`; `limits` (`backpressure`) and `breakers` (`circuit_breaker`); settings of `inbound`, `stages`
(time limits, isolation) and `outbounds` (mode, `unrouted`); `queues`, shared ones, topics, and those that no route reads;
`storage` of stages; `lineage`; `settings`, those of `orchestrator` and `processor`; `texts`, names and descriptions. Routes,
their stages and their outbounds to one another are always drawn."""


def checked_features(features: Collection[str]) -> frozenset[str]:
    """Return the features as a set.

    Raises:
        StrategyError: There is no feature of a name.
    """
    given = [features] if isinstance(features, str) else list(features)
    for name in given:
        if name not in FEATURES:
            raise StrategyError(f"features: expected some of {', '.join(FEATURES)}, got {name!r}")
    return frozenset(given)
