"""A store moves into a process of its own once rows come fast, and no row is lost on the way."""

import errno
import os
import signal
from dataclasses import replace

import pytest
import trio

from factflow_engine.frames import pack
from factflow_engine.lineage.moving import MovingLineage
from factflow_engine.lineage.providers import open_lineage_reader
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.seams import Seams, TrioProcesses
from factflow_engine.testing import lineage_entry
from factflow_protocols import LineageError, LineageSelection
from support.internals import far_of, process_id_of
from support.pipelines import load, registry_of

PIPELINE = """
lineage: {{url: "{url}", finish_seconds: 60}}
routes: {{r: {{inbound: {{capacity: 100000}}, adapters: [{{type: forward}}]}}}}
"""

MANY = 10_000
"""Rows of one write that are too many for a thread."""


class FewProcesses(TrioProcesses):
    """Starts so many processes, and then the machine has no more."""

    __slots__ = ("left",)

    def __init__(self, left):
        self.left = left

    async def start(self, code, arguments, *, fd):
        if not self.left:
            raise OSError(errno.EAGAIN, "too many processes")
        self.left -= 1
        return await super().start(code, arguments, fd=fd)


async def stored(url):
    """Return the number of visits that the store has."""
    reader = open_lineage_reader(url)
    try:
        statistics = await reader.statistics(LineageSelection())
    finally:
        await reader.close()
    return sum(sum(stage.statuses.values()) for stage in statistics.stages)


async def test_a_configuration_names_its_store_which_the_execution_opens_and_closes(tmp_path):
    url = f"sqlite:///{tmp_path}/lineage"
    registry = registry_of()
    with trio.fail_after(120):
        async with OrchestratorManager(registry=registry) as manager:
            execution = await manager.start(load(registry, PIPELINE.format(url=url)))
            await execution.publish_batch("r", [{"n": 1}] * 20_000)
            report = await execution.complete()
    assert report.lineage.written == 40_000
    assert not report.close_errors
    assert await stored(url) == 20_000


async def test_few_rows_stay_in_a_thread_and_many_move(tmp_path):
    url = f"sqlite:///{tmp_path}/lineage"
    processes = FewProcesses(1)
    sink = MovingLineage(url, seams=replace(Seams.real(), processes=processes))
    registry = registry_of()
    text = PIPELINE.format(url="x").replace('url: "x", ', "")
    with trio.fail_after(120):
        async with OrchestratorManager(registry=registry, lineage=sink) as manager:
            execution = await manager.start(load(registry, text))
            await execution.publish("r", 1)
            while execution.statistics().lineage.written < 2:
                await trio.sleep(0.01)
            assert processes.left == 1
            await execution.publish_batch("r", [1] * MANY)
            report = await execution.complete()
    assert processes.left == 0
    await sink.close()
    assert (report.lineage.lost, report.lineage.errors) == (0, 0)
    assert await stored(url) == MANY + 1


@pytest.mark.parametrize("left", [0, 1])
async def test_a_process_that_cannot_be_started_costs_no_row(tmp_path, caplog, left):
    url = f"sqlite:///{tmp_path}/lineage"
    sink = MovingLineage(url, seams=replace(Seams.real(), processes=FewProcesses(left)))
    part = pack([[list(lineage_entry(1))], []])
    with trio.fail_after(120):
        await sink.write_packed([part] * MANY)
        assert (far_of(sink) is not None) == bool(left)
        if left:
            os.kill(process_id_of(far_of(sink)), signal.SIGKILL)
            with pytest.raises(LineageError, match="killed by signal 9"):
                await sink.write_packed([part])
        await sink.write_packed([pack([[list(lineage_entry(2))], []])])
        await sink.write([lineage_entry(3)], [])
        await sink.write_packed([part] * MANY)
        assert far_of(sink) is None
        await sink.close()
    assert await stored(url) == 3
    assert caplog.text.count("is written in a thread of this process from now on") == 1
    assert "too many processes" in caplog.text


async def test_without_processes_it_stays_in_its_thread(tmp_path):
    sink = MovingLineage(f"sqlite:///{tmp_path}/lineage", seams=replace(Seams.real(), processes=None))
    registry = registry_of()
    text = PIPELINE.format(url="x").replace('url: "x", ', "")
    with trio.fail_after(120):
        async with OrchestratorManager(registry=registry, lineage=sink) as manager:
            execution = await manager.start(load(registry, text))
            await execution.publish_batch("r", [1] * MANY)
            report = await execution.complete()
    await sink.close()
    assert report.lineage.written == 2 * MANY
