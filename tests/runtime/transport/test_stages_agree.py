"""Processes that would share what a stage keeps, and mean different things by it: refused by name, before anything is consumed."""

import logging

import pytest
import trio
from pydantic import BaseModel

from factflow_engine.config.text import Source
from factflow_engine.errors import ExecutionStartError
from factflow_protocols import AdapterResult, StatefulAdapter
from support.stored_states import World


class SinkConfig(BaseModel):
    path: str = "out"
    size: int = 1


class Counter(StatefulAdapter):
    config_model = SinkConfig

    def __init__(self, config):
        self.count = 0

    async def process(self, context):
        await trio.sleep(0.02)
        self.count += 1
        return AdapterResult.forward()

    def snapshot(self):
        return self.count

    def restore(self, state):
        self.count += state


class Sink(StatefulAdapter):
    config_model = SinkConfig
    path_fields = ("path",)
    durable_batches = True

    def __init__(self, config):
        pass

    async def process(self, context):
        await trio.sleep(0.02)
        return AdapterResult.forward()

    async def flush(self):
        pass


def world(tmp_path, config="{}", kind="sink", directory=None):
    text = f"""
processor: {{snapshot_seconds: 0.1}}
routes:
  r: {{inbound: {{concurrency: 1, prefetch: 2}}, adapters: [{{type: {kind}, name: s, config: {config}}}]}}
"""
    made = World(tmp_path / "q.db", text, sink=Sink, counter=Counter)
    if directory is not None:
        made.config = made.config.located(Source(name="p.yaml", directory=directory, text=""), {})
    return made


async def refused(other):
    with pytest.raises(ExecutionStartError) as caught:
        async with other.life():
            pass
    return str(caught.value)


@pytest.mark.parametrize(
    ("mine", "theirs", "kind"),
    [
        ("{path: a}", "{path: b}", "sink"),
        ("{path: a}", "{}", "sink"),
        ("{size: 1}", "{size: 2}", "counter"),
        ("{size: 2}", "{size: 2}", "other kind"),
    ],
)
async def test_a_living_process_with_another_configuration_keeps_one_from_starting(
    autojump_clock, tmp_path, mine, theirs, kind
):
    first = world(tmp_path, mine, "sink" if kind == "other kind" else kind)
    second = world(tmp_path, theirs, "counter" if kind == "other kind" else kind)
    async with first.life() as life:
        await life.execution.publish_batch("r", [{"n": number} for number in range(10)])
        text = await refused(second)
        assert "route 'r', stage 's'" in text
        assert "another configuration" in text
        assert f"type {('sink' if kind == 'other kind' else kind)!r}" in text
        assert "another id" in text
        async with first.life() as same:
            await same.execution.complete()
        report = await life.execution.complete()
    assert report.status == "completed"
    assert await first.rows() == (0, 0)


async def test_the_same_file_in_other_words_is_the_same_configuration(autojump_clock, tmp_path):
    async with world(tmp_path, "{path: a}").life(), world(tmp_path, "{path: ./b/../a}").life():
        pass


async def test_a_relative_path_in_another_folder_is_another_file(autojump_clock, tmp_path):
    first, second = world(tmp_path, "{path: a}"), world(tmp_path, "{path: a}", directory=tmp_path / "other")
    async with first.life():
        assert "lead to the same files" in await refused(second)


@pytest.mark.parametrize("how", ["drain", "die"])
async def test_a_state_is_not_given_to_an_adapter_of_another_type(autojump_clock, tmp_path, how):
    first = world(tmp_path, kind="counter")
    async with first.life() as life:
        await life.execution.publish_batch("r", [{"n": number} for number in range(50)])
        await trio.sleep(0.6)
        await (life.execution.drain(0) if how == "drain" else life.die())
    await trio.sleep(1.5)
    for _ in range(2):
        text = await refused(world(tmp_path, kind="sink"))
        assert "an adapter of type 'counter'" in text
        assert "another name" in text
    report = await first.complete()
    assert report.status == "completed"


async def test_a_changed_configuration_of_what_has_left_is_told_of_and_gone_on_with(autojump_clock, tmp_path, caplog):
    async with world(tmp_path, "{size: 1}").life() as life:
        await life.execution.publish_batch("r", [{"n": number} for number in range(50)])
        await trio.sleep(0.6)
        await life.execution.drain(0)
    changed = world(tmp_path, "{size: 2}")
    with caplog.at_level(logging.WARNING):
        async with changed.life() as life:
            assert "route 'r', stage 's' is configured otherwise" in caplog.text
            async with changed.life() as third:  # what was taken over is configured so from now on
                await third.execution.complete()
            await life.execution.complete()
    assert await changed.rows() == (0, 0)


async def test_a_stage_that_has_made_nothing_may_be_configured_otherwise(autojump_clock, tmp_path, caplog):
    async with world(tmp_path, "{size: 1}", "counter").life() as life:
        await life.execution.publish("r", {"n": 1})
        await life.execution.cancel()
    assert (await world(tmp_path, "{size: 2}", "sink").complete()).status == "completed"
    assert "configured otherwise" not in caplog.text
