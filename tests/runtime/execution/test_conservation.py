"""The counters balance at every instant, for random pipelines with failing, filtering, waiting and emitting stages."""

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from support.pipelines import assert_counters_balance, load, registry_of
from support.random_adapters import adapters

STAGES = ("forward", "change", "odd", "explode", "rest", "spread", "spread_async", "thread")


@st.composite
def layered_pipelines(draw):
    """Routes in a row or a tree, each leading to later ones only, with random stages, conditions and modes."""
    count = draw(st.integers(1, 4))
    routes = []
    for position in range(count):
        stages = draw(st.lists(st.sampled_from(STAGES), min_size=1, max_size=3))
        later = list(range(position + 1, count))
        targets = draw(st.lists(st.sampled_from(later), max_size=3)) if later else []
        routes.append(
            {
                "stages": stages,
                "targets": [(target, draw(st.sampled_from([None, 2, 3]))) for target in targets],
                "mode": draw(st.sampled_from(["all", "first"])),
                "unrouted": draw(st.sampled_from(["filter", "fail"])),
                "concurrency": draw(st.integers(1, 4)),
                "capacity": draw(st.integers(1, 8)),
            }
        )
    return routes, draw(st.integers(1, 25))


def as_yaml(routes):
    lines = ["routes:"]
    for position, route in enumerate(routes):
        stages = ", ".join(f"{{type: {kind}, name: s{n}}}" for n, kind in enumerate(route["stages"]))
        lines += [
            f"  r{position}:",
            f"    inbound: {{concurrency: {route['concurrency']}, capacity: {route['capacity']}}}",
            f"    adapters: [{stages}]",
            f"    outbound_mode: {route['mode']}",
            f"    unrouted: {route['unrouted']}",
        ]
        if route["targets"]:
            lines.append("    outbound:")
            for target, below in route["targets"]:
                condition = "" if below is None else f", condition: {{field: n, operator: gt, value: {below}}}"
                lines.append(f"      - {{route: r{target}{condition}}}")
    return "\n".join(lines)


@given(layered_pipelines(), st.integers(0, 2**32))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_counters_balance_at_every_instant_and_everything_ends(pipeline, seed):
    routes, inputs = pipeline
    observed = 0

    async def main(simulation):
        registry = registry_of(**adapters(simulation.randomness))
        config = load(registry, as_yaml(routes))

        async def watch(execution):
            nonlocal observed
            while True:
                statistics = execution.statistics()
                assert_counters_balance(statistics)
                for position, route in enumerate(statistics.routes.values()):
                    emits = any(stage.startswith(("spread", "thread")) for stage in routes[position]["stages"])
                    assert emits or route.in_flight <= routes[position]["concurrency"]
                observed += 1
                await trio.sleep(0.05)

        with trio.fail_after(10_000):
            async with (
                trio.open_nursery() as nursery,
                OrchestratorManager(registry=registry, seams=simulation.seams) as manager,
            ):
                execution = await manager.start(config)
                nursery.start_soon(watch, execution)
                for number in range(inputs):
                    await execution.publish("r0", {"n": number})
                report = await execution.complete()
                nursery.cancel_scope.cancel()
                return report

    report = in_virtual_time(main, seed=seed)
    assert observed
    assert report.status == "completed"
    assert_counters_balance(report)
    arrived = [0] * len(routes)
    arrived[0] = inputs
    for position, route in enumerate(report.routes.values()):
        assert route.waiting == route.in_flight == 0
        assert route.received >= arrived[position]
        if len({target for target, _ in routes[position]["targets"]}) == 1:
            arrived[routes[position]["targets"][0][0]] += route.emitted
    assert len(report.failures) + report.failures_omitted == report.outcomes["failed"]
