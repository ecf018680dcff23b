"""A route's concurrency is what it says: never more than so many in its adapters, and so many when there is work."""

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult
from support.floods import Presence
from support.pipelines import load, registry_of

MESSAGES = 30
CHILDREN = 7


def adapters(presence, randomness):
    async def rest(context):
        presence.enter(context.route)
        try:
            await trio.sleep(randomness.uniform(0.1, 1))
            return AdapterResult.forward()
        finally:
            presence.leave(context.route)

    async def flicker(context):
        """Suspends without time passing."""
        presence.enter(context.route)
        try:
            await trio.lowlevel.checkpoint()
            return AdapterResult(message=context.message)
        finally:
            presence.leave(context.route)

    async def spread(context):
        """Emits; what runs of its source counts too."""

        async def children():
            for number in range(CHILDREN):
                presence.enter(context.route)
                try:
                    await trio.sleep(randomness.uniform(0, 0.05))
                finally:
                    presence.leave(context.route)
                yield number

        return AdapterResult(emitted=children())

    async def scatter(context):
        return AdapterResult(emitted=range(CHILDREN))

    async def odd(context):
        await trio.sleep(randomness.uniform(0, 0.1))
        kind = int(context.message_id, 16) % 3
        if kind == 0:
            raise ValueError("odd")
        return None if kind == 1 else AdapterResult.forward()

    return {"rest": rest, "flicker": flicker, "spread": spread, "scatter": scatter, "odd": odd}


def run_flooded(chains, limits, seed, *, linked, messages=MESSAGES):
    """Run one route per chain, flooded alone or each by the one before, and return who was in adapters."""
    presence = Presence()
    lines = ["routes:"]
    for position, (chain, limit) in enumerate(zip(chains, limits, strict=True)):
        stages = ", ".join(f"{{type: {kind}, name: s{n}}}" for n, kind in enumerate(chain))
        outbound = f", outbound: [{{route: r{position + 1}}}]" if linked and position + 1 < len(chains) else ""
        lines.append(
            f"  r{position}: {{inbound: {{concurrency: {limit}, capacity: 1000}}, adapters: [{stages}]{outbound}}}"
        )

    async def main(simulation):
        registry = registry_of(**adapters(presence, simulation.randomness))
        async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
            execution = await manager.start(load(registry, "\n".join(lines)))
            for number in range(messages):
                for position in range(len(chains)):
                    if position == 0 or not linked:
                        execution.publish_nowait(f"r{position}", number)
            return await execution.complete()

    report = in_virtual_time(main, seed=seed)
    assert report.status == "completed"
    return presence, report


limit_lists = st.lists(st.integers(1, 9), min_size=1, max_size=4)
seeds = st.integers(0, 2**32)


@given(limit_lists, seeds, st.booleans())
@settings(max_examples=25, deadline=None)
def test_as_many_as_the_limit_are_in_adapters_and_never_more(limits, seed, linked):
    presence, report = run_flooded([("rest",)] * len(limits), limits, seed, linked=linked)
    for position, limit in enumerate(limits):
        most = presence.most[f"r{position}"]
        assert most <= limit
        if position == 0 or not linked:
            assert most == limit, "all of its messages were there from the beginning"
        assert report.routes[f"r{position}"].limit == limit


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(["rest", "flicker", "odd", "forward"]), max_size=2),
            st.sampled_from(["spread", "scatter", "flicker"]),
            st.lists(st.sampled_from(["rest", "flicker"]), min_size=1, max_size=2),
        ),
        min_size=1,
        max_size=3,
    ),
    st.lists(st.integers(1, 6), min_size=3, max_size=3),
    seeds,
    st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_the_limit_holds_for_children_and_sources_and_several_stages(shapes, limits, seed, linked):
    chains = [(*before, middle, *after) for before, middle, after in shapes]
    presence, report = run_flooded(chains, limits[: len(chains)], seed, linked=linked)
    for position, limit in enumerate(limits[: len(chains)]):
        assert presence.most.get(f"r{position}", 0) <= limit
    assert all(count == 0 for count in presence.now.values())
    assert all(route.in_flight == 0 for route in report.routes.values())


@given(st.integers(1, 9), seeds, st.sampled_from(["spread", "scatter"]))
@settings(max_examples=20, deadline=None)
def test_children_use_every_permit_of_their_route(limit, seed, kind):
    presence, report = run_flooded([(kind, "rest")], [limit], seed, linked=False)
    assert presence.most["r0"] == limit
    assert report.routes["r0"].received == MESSAGES * (1 + CHILDREN)


@given(st.integers(1, CHILDREN), seeds)
@settings(max_examples=10, deadline=None)
def test_the_children_of_one_message_use_every_permit_of_their_route(limit, seed):
    presence, report = run_flooded([("scatter", "rest")], [limit], seed, linked=False, messages=1)
    assert presence.most["r0"] == limit
    assert report.routes["r0"].received == 1 + CHILDREN


@given(st.integers(1, 7), seeds)
@settings(max_examples=10, deadline=None)
def test_the_limit_is_each_executions_own(limit, seed):
    presence = [Presence(), Presence()]

    async def main(simulation):
        managers = []
        async with trio.open_nursery() as nursery:
            for one in presence:
                registry = registry_of(**adapters(one, simulation.randomness))
                managers.append(registry)

                async def alone(registry=registry):
                    async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
                        text = f"routes: {{r: {{inbound: {{concurrency: {limit}}}, adapters: [{{type: rest}}]}}}}"
                        executions = [await manager.start(load(registry, text)) for _ in range(2)]
                        for number in range(MESSAGES):
                            for execution in executions:
                                execution.publish_nowait("r", number)

                nursery.start_soon(alone)

    in_virtual_time(main, seed=seed)
    assert [one.most["r"] for one in presence] == [2 * limit, 2 * limit]


async def test_a_permit_that_comes_back_is_used_at_once(autojump_clock):
    """Messages of one second each under a limit: the time they take together is exact."""
    presence = Presence()

    async def second(context):
        presence.enter(context.route)
        await trio.sleep(1)
        presence.leave(context.route)

    registry = registry_of(second=second)
    async with OrchestratorManager(registry=registry) as manager:
        text = "routes: {r: {inbound: {concurrency: 4}, adapters: [{type: second}]}}"
        execution = await manager.start(load(registry, text))
        start = trio.current_time()
        for number in range(40):
            execution.publish_nowait("r", number)
        await execution.complete()
    assert round(trio.current_time() - start, 3) == 10
    assert presence.most == {"r": 4}
