"""Several routes before one server of limited capacity, through the runtime under virtual time: each gets its share."""

from collections import Counter
from functools import partial

import pytest
import trio

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult
from support.limited_servers import MS, SECOND, FifoServer, in_trio
from support.pipelines import load, registry_of

ROUTES = ("a", "b", "c", "d")
CAPACITY = 20
SERVICE_NS = 50 * MS
SECONDS = 40
FROM_SECONDS = 15
"""Seconds in which the limits are looked for."""


def fairness(shares: list[int]) -> float:
    """Return Jain's index: 1 for equal shares, 1 / n if one has all."""
    return sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))


def shares_of(section: str, seed: int) -> tuple[list[int], float]:
    """Return the calls of each route after the search, and the part of the server's capacity that they use."""
    text = "routes:\n" + "".join(
        f"  {name}: {{inbound: {{concurrency: 100, capacity: 100000}}, adapters: [{{type: work}}], backpressure: {section}}}\n"
        for name in ROUTES
    )
    done: Counter[str] = Counter()

    async def main(simulation):
        make = partial(FifoServer, [(0, CAPACITY)], service_ns=SERVICE_NS)
        async with in_trio(make) as call:
            begun = trio.current_time()

            async def work(context):
                await call()
                if trio.current_time() - begun > FROM_SECONDS:
                    done[context.route] += 1
                return AdapterResult.forward()

            registry = registry_of(work=work)
            async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
                execution = await manager.start(load(registry, text))
                for number in range(CAPACITY * SECOND // SERVICE_NS * SECONDS):
                    for name in ROUTES:
                        execution.publish_nowait(name, number)
                await trio.sleep(SECONDS)
                await execution.cancel(grace=0)

    in_virtual_time(main, seed=seed)
    shares = [done[name] for name in ROUTES]
    return shares, sum(shares) / (CAPACITY * SECOND / SERVICE_NS * (SECONDS - FROM_SECONDS))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "least", "used"),
    [
        ("{algorithm: adaptive, group: server}", 0.98, 0.8),
        ("{algorithm: adaptive}", 0.7, 0.8),
    ],
    ids=["one limit", "limits of their own"],
)
def test_each_route_gets_its_share(section, least, used, capsys):
    for seed in (1, 2):
        shares, utilisation = shares_of(section, seed)
        with capsys.disabled():
            print(f"\n{section}, seed {seed}: J {fairness(shares):.3f} of {shares}, {utilisation:.0%} in use", end="")
        assert fairness(shares) >= least
        assert utilisation >= used
