"""How rows wait for their store, and how they are packed for it: in parts that are bounded, and each payload counted once."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.lineage import recorder
from factflow_engine.lineage.recorder import rows_of
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.runtime.hop.lineage import OUTCOMES, STATUSES
from factflow_engine.runtime.report import Outcome
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, StageStatus
from support.lineage import KeptLineage, PackedLineage, SlowLineage
from support.pipelines import load, registry_of

SKIPPED = "{type: forward, name: NAME, condition: {field: size, operator: lt, value: 0}}"
FOUR_SKIPPED = ", ".join(SKIPPED.replace("NAME", name) for name in "abcd")


class PartsLineage(PackedLineage):
    """Keeps the number of visits in each part, too."""

    def __init__(self):
        super().__init__()
        self.visits = []

    async def write_packed(self, parts):
        self.visits += [len((await rows_of([part]))[0]) for part in parts]
        await super().write_packed(parts)


async def change(context):
    return AdapterResult(message={**context.message, "n": 1})


def carried(sink, stages, sizes, *, lineage, together=2):
    """Carry messages of these sizes in bytes, so many of them together each half a second; return the report."""
    reports = []
    text = f"lineage: {{{lineage}}}\nroutes:\n  r:\n    adapters: [{stages}]\n"

    async def main(simulation):
        registry = registry_of(change=change)
        async with OrchestratorManager(registry=registry, seams=simulation.seams, lineage=sink) as manager:
            execution = await manager.start(load(registry, text), execution_id="x")
            for number, size in enumerate(sizes, 1):
                await execution.publish("r", {"size": size, "filler": "x" * size})
                if number % together == 0:
                    await trio.sleep(0.5)
            reports.append(await execution.complete())

    in_virtual_time(main, seed=0)
    return reports[0]


def test_a_part_has_so_many_bytes_of_payloads_and_one_row_more_at_most():
    sink, size = PartsLineage(), recorder.PART_BYTES // 6
    carried(sink, "{type: change}", [size] * 40, lineage="hash_payloads: true", together=40)
    assert sum(sink.visits) == 40
    assert max(sink.visits) == 3, "each has a payload before it and another one after it"
    sink = PartsLineage()
    carried(sink, SKIPPED, [size] * 40, lineage="mode: full", together=40)
    assert max(sink.visits) == 6


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=10), st.integers(1, 9), st.integers(1, 9000))
def test_the_rows_are_the_same_whatever_the_parts_are(sizes, rows, size):
    sinks = KeptLineage(), PackedLineage()
    stages = f"{{type: change}}, {FOUR_SKIPPED}"
    carried(sinks[0], stages, sizes, lineage="hash_payloads: true")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder, "PART_ROWS", rows)
        patch.setattr(recorder, "PART_BYTES", size)
        report = carried(sinks[1], stages, sizes, lineage="hash_payloads: true")
    assert sinks[0].entries == sinks[1].entries
    assert sinks[0].outcomes == sinks[1].outcomes
    assert report.lineage.written == 6 * len(sizes)


def test_a_payload_that_several_rows_keep_is_counted_once():
    report = carried(
        KeptLineage(), FOUR_SKIPPED, [10_000] * 5, lineage="hash_payloads: true, buffer_bytes: 65536", together=5
    )
    assert (report.lineage.recorded, report.lineage.lost) == (25, 0)


@pytest.mark.parametrize("hashes", ["true", "false"])
def test_payloads_do_not_wait_for_a_slow_store(hashes):
    lineage = f"hash_payloads: {hashes}, buffer_bytes: 65536, finish_seconds: 60"
    report = carried(SlowLineage(5), SKIPPED, [25_000] * 4, lineage=lineage)
    assert (report.lineage.written, report.lineage.lost) == (8, 0)


def test_what_is_packed_waits_within_the_bound():
    lost = []
    for count in (180, 360):
        lineage = "mode: full, buffer_bytes: 65536, finish_seconds: 60"
        report = carried(SlowLineage(5), "{type: forward}", [1] * count, lineage=lineage, together=180)
        lost.append(report.lineage.lost)
    assert lost[0] == 0, "as many fit"
    assert lost[1] > 0, "as many again do not, while the first ones wait for the store"


def test_each_state_and_outcome_has_a_number():
    assert set(STATUSES) == set(StageStatus)
    assert set(OUTCOMES) == set(Outcome)
