"""The rows of a run agree with its report: for random pipelines, faults, retries, emissions, dead letters and ends."""

from collections import Counter

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from support.lineage import KeptLineage, PackedLineage
from support.pipelines import load, registry_of
from support.random_adapters import adapters

STAGES = ("forward", "change", "odd", "explode", "flaky", "reject", "later", "rest", "spread", "spread_async", "thread")


@st.composite
def pipelines(draw):
    count = draw(st.integers(1, 3))
    lines = ["lineage: {mode: full}", "routes:"]
    for position in range(count):
        stages = []
        for number, kind in enumerate(draw(st.lists(st.sampled_from(STAGES), min_size=1, max_size=3))):
            condition = draw(st.sampled_from(["", "", ", condition: {field: n, operator: gt, value: 2}"]))
            breaker = ""
            if kind == "explode" and draw(st.booleans()):
                breaker = (
                    ", circuit_breaker: {failure_rate_threshold: 50, sliding_window_size: 4, minimum_calls: 2, "
                    "wait_duration_seconds: 1}"
                )
            stages.append(f"{{type: {kind}, name: s{number}{condition}{breaker}}}")
        letters = draw(st.sampled_from(["", ", dead_letter_queue: /queue/dead"]))
        lines += [
            f"  r{position}:",
            f"    inbound: {{concurrency: {draw(st.integers(1, 4))}, capacity: {draw(st.integers(1, 8))}}}",
            f"    adapters: [{', '.join(stages)}]",
            f"    unrouted: {draw(st.sampled_from(['filter', 'fail']))}",
            f"    error_handling: {{max_retries: {draw(st.integers(0, 2))}, retry_delay_seconds: 0.5{letters}}}",
        ]
        later = range(position + 1, count)
        targets = draw(st.lists(st.sampled_from(list(later)), max_size=3)) if later else []
        if targets:
            lines.append("    outbound:")
            for target in targets:
                condition = draw(st.sampled_from(["", ", condition: {field: n, operator: lt, value: 6}"]))
                lines.append(f"      - {{route: r{target}{condition}}}")
    return "\n".join(lines)


def record(text, inputs, seed, sink, *, cancel_after=None):
    async def main(simulation):
        registry = registry_of(**adapters(simulation.randomness))
        config = load(registry, text)
        with trio.fail_after(100_000):
            async with OrchestratorManager(registry=registry, seams=simulation.seams, lineage=sink) as manager:
                execution = await manager.start(config)
                for number in range(inputs):
                    await execution.publish("r0", {"n": number})
                    if cancel_after is not None and trio.current_time() > cancel_after:
                        break
                if cancel_after is None:
                    return await execution.complete()
                await trio.sleep(cancel_after)
                return await execution.cancel()

    return in_virtual_time(main, seed=seed)


def assert_rows_agree(sink, report):
    counts = report.lineage
    assert (counts.lost, counts.errors) == (0, 0)
    assert counts.recorded == counts.written == len(sink.entries) + len(sink.outcomes)
    outcomes = sink.last_outcomes()
    # Every row, not the last of each message: children of a source that failed end again with the next attempt's.
    by_route = Counter((row.route, row.outcome) for row in sink.outcomes)
    assert by_route == Counter(
        {(name, str(outcome)): n for name, route in report.routes.items() for outcome, n in route.outcomes.items() if n}
    )
    skipped = Counter(row.route for row in sink.entries if row.status == "skipped")
    assert skipped == Counter({name: route.skipped for name, route in report.routes.items() if route.skipped})
    visits = sink.last_visits().values()
    assert "pending" not in {row.status for row in visits}
    last = {}
    for row in sink.entries:
        if row.status != "pending":
            last[row.message_id, row.route] = row
    for key, outcome in outcomes.items():
        if outcome.outcome == "filtered" and outcome.detail is None:
            assert last[key].status == "completed"
        if outcome.outcome in ("failed", "dead_lettered"):
            assert outcome.detail is not None
    for row in visits:
        assert (row.detail is not None) == (row.status in ("failed", "skipped")) or row.status == "cancelled"
        assert row.duration_ns >= 0 <= row.waited_ns
        assert (row.waited_for is None) == (row.waited_ns == 0)
        assert row.started_ns > 1_600_000_000_000_000_000


@given(pipelines(), st.integers(1, 20), st.integers(0, 2**32), st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_rows_of_a_run_to_the_end_agree_with_its_report(text, inputs, seed, packed):
    sink = PackedLineage() if packed else KeptLineage()
    report = record(text, inputs, seed, sink)
    assert report.status == "completed"
    assert_rows_agree(sink, report)
    emitted = sum(row.emitted for row in sink.outcomes)
    assert emitted >= sum(route.emitted for route in report.routes.values())


@given(pipelines(), st.integers(1, 20), st.integers(0, 2**32), st.floats(0, 3))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_rows_of_a_cancelled_run_agree_with_its_report(text, inputs, seed, seconds):
    sink = KeptLineage()
    report = record(text, inputs, seed, sink, cancel_after=seconds)
    assert_rows_agree(sink, report)
