"""Each check of the bench fails where what it checks is wrong: contenders that do not do the whole work are no contenders."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

pytest.importorskip("bytewax", reason="make setup installs what the bench compares with")

from bench.baselines import asyncio_queues, bytewax_flow, faststream_broker, plain_sqlite, trio_channels
from bench.model import OURS, Case, Metric, Subject
from bench.run import run_case
from bench.suites import frames, latency, lineage, profile, routing, simulation, storage
from bench.workloads.messages import orders

from bench import emission, pipelines
from factflow_engine import LineageSink, PipelineOrchestrator
from factflow_engine.frames import Frame
from factflow_engine.storages.file import FileStorage
from factflow_engine.storages.memory import MemoryStorage
from factflow_engine.testing import simulate
from factflow_engine.testing.simulation import Broken

Measure = Callable[[], Mapping[str, float]]


class Short(list[Any]):
    """A list that hands out one element less than its length."""

    def __iter__(self) -> Iterator[Any]:
        return iter(list(super().__iter__())[:-1])


async def keep(message: Any) -> Any:
    return message


async def lose(message: Any) -> Any:
    return None


LINEAR = pipelines.linear("pass", capacity=10)
LOSSY = LINEAR.replace("{route: r1}", "{route: r1, condition: {field: id, operator: eq, value: -1}}")
MESSAGES = orders(20)

UNFINISHED: dict[str, Measure] = {
    "our pipeline, one message filtered on its way": pipelines.carrying(LOSSY, MESSAGES, hops=3),
    "our pipeline, other hops than it has": pipelines.carrying(LINEAR, MESSAGES, hops=2),
    "trio channels": trio_channels.carrying(lose, MESSAGES, hops=3, fast=False),
    "trio channels, nowait": trio_channels.carrying(lose, MESSAGES, hops=3, fast=True),
    "trio channels, routing": trio_channels.routing(keep, lambda _: "a", ["a"], Short(MESSAGES), fast=False),
    "trio channels, nowait, routing": trio_channels.routing(keep, lambda _: "a", ["a"], Short(MESSAGES), fast=True),
    "asyncio": asyncio_queues.carrying(lose, MESSAGES, hops=3),
    "asyncio, routing": asyncio_queues.routing(keep, lambda _: "a", ["a"], Short(MESSAGES)),
    "bytewax": bytewax_flow.carrying(lambda message: message, Short(MESSAGES)),
    "faststream": faststream_broker.carrying(Short(MESSAGES)),
    "sqlite3 by hand": plain_sqlite.carrying(
        lambda message: message if message["id"] else None, MESSAGES, "OFF", hops=3, published=10, size=7
    ),
}


@pytest.mark.parametrize("contender", UNFINISHED)
@pytest.mark.filterwarnings("ignore")  # the libraries' own
def test_a_contender_that_loses_messages_is_refused(contender: str) -> None:
    with pytest.raises(RuntimeError, match=r"of 20 messages \d+ came through|20 messages over \d hops ended \d+ times"):
        UNFINISHED[contender]()


@pytest.mark.parametrize("source", [emission.listed, emission.generated, emission.generated_async])
def test_an_emission_that_loses_children_is_refused(source: emission.Source) -> None:
    short = Short(MESSAGES)
    with pytest.raises(RuntimeError, match="41 messages over 1 hops ended 39 times"):
        emission.emitting(source, short)()
    with pytest.raises(RuntimeError, match="of 20 messages 19 came through"):
        emission.by_hand(lambda messages: source(Short(messages)), MESSAGES, pack=True)()


def test_publishing_to_a_route_that_takes_messages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PipelineOrchestrator, "pause", lambda self: None)
    with pytest.raises(RuntimeError, match=r"20 messages were published, \d wait"):
        pipelines.publishing(MESSAGES, how="await")()


def test_latencies_of_less_than_all_messages_are_refused() -> None:
    with pytest.raises(RuntimeError, match="of 2 messages 1 came through"):
        latency.percentiles([1], 2)


def test_a_rule_table_that_finds_something_else_is_refused() -> None:
    routing.compare("t", "theirs", 10, [2, 1], [1, 2])
    with pytest.raises(RuntimeError, match=r"theirs finds \[1\], ours \[1, 2\]"):
        routing.compare("t", "theirs", 10, [1], [1, 2])


def test_a_codec_that_gives_back_something_else_is_refused() -> None:
    frames.compare({"a": 1}, {"theirs": {"a": 1}})
    with pytest.raises(RuntimeError, match=r"theirs gives back \{'a': 1.5\}"):
        frames.compare({"a": 1}, {"theirs": {"a": 1.5}})


def test_a_turn_that_leaves_messages_behind_is_refused() -> None:
    level = logging.getLogger("factflow_engine").level
    with pytest.raises(RuntimeError, match="of 20 messages 13 were not carried"):
        trio.run(partial(profile.carried, profile.SINK, 20, turn=7))
    assert logging.getLogger("factflow_engine").level == level


def test_duplicates_in_the_queue_by_hand_are_refused() -> None:
    batch = [(bytes(16), b"frame")]
    with pytest.raises(RuntimeError, match="publishes no duplicates"):
        plain_sqlite.publishing([batch, batch], "OFF")()


def test_a_hop_by_hand_whose_lease_is_taken_over_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        plain_sqlite, "_lease", lambda *_: ([(1, Frame.create(b"\x80", message_id=bytes(16)).encode())], 0)
    )
    with pytest.raises(RuntimeError, match="1 messages of a lease are another's"):
        plain_sqlite.carrying(lambda message: message, MESSAGES, "OFF", hops=2, published=10, size=7)()


@pytest.mark.parametrize(
    ("section", "sink", "rows"),
    [
        ("", lineage.Nowhere(), range(120, 121)),
        (lineage.FULL, lineage.Nowhere(), range(121, 122)),
        (lineage.FULL, lineage.Nowhere(), range(60)),
        (lineage.FULL, lineage.Nowhere(), None),
    ],
)
def test_a_run_with_other_rows_of_lineage_is_refused(section: str, sink: LineageSink, rows: range | None) -> None:
    with pytest.raises(RuntimeError, match="expected "):
        lineage.carrying(LINEAR + section, MESSAGES, sink, rows=rows)()


def test_a_run_that_loses_rows_of_lineage_is_refused() -> None:
    class Broken(lineage.Nowhere):
        async def write_packed(self, parts: object) -> None:
            await trio.lowlevel.checkpoint()
            raise OSError("no room")

    section = lineage.FULL.replace("60", "0.1")
    with pytest.raises(RuntimeError, match="expected range"):
        lineage.carrying(LINEAR + section, MESSAGES, Broken(), rows=range(121))()


@pytest.mark.parametrize(("number", "content"), [(0, storage.CONTENT), (3, b"other"), (5, storage.CONTENT)])
def test_a_store_without_what_was_written_last_is_refused(number: int, content: bytes) -> None:
    async def main() -> None:
        store = MemoryStorage()
        for each in range(5):
            await store.write(f"stage/{each:06}", storage.replaced(each), custom=storage.CUSTOM)
        await storage.check(store, 5, storage.replaced)
        await store.write(f"stage/{number:06}", content, custom=storage.CUSTOM)
        await storage.check(store, 5, storage.replaced)

    with pytest.raises(RuntimeError, match=r"is not what was written last|of 5 objects the store lists 6"):
        trio.run(main)


def test_a_store_without_the_metadata_is_refused() -> None:
    async def main() -> None:
        store = MemoryStorage()
        await store.write("stage/000000", storage.CONTENT)
        await storage.check(store, 1, lambda _: storage.CONTENT)

    with pytest.raises(RuntimeError, match="is not what was written last"):
        trio.run(main)


@pytest.mark.parametrize("work", ["_replace", "_read"])
def test_work_on_objects_that_does_nothing_is_refused(work: str, tmp_path: Path) -> None:
    class Deaf(FileStorage):
        async def write(self, key: str, data: Any, **options: Any) -> Any:
            return None if await self.exists(key) else await super().write(key, data, **options)

        async def read(self, key: str) -> Any:
            content, metadata = await super().read(key)
            return content if work == "_replace" else content[:-1] + b"x", metadata

    with pytest.raises(RuntimeError, match=r"is not what was written last|is read as other bytes"):
        storage._measured(Deaf(tmp_path), getattr(storage, work), 3)


def test_files_by_hand_that_are_not_those_that_were_written_are_refused(tmp_path: Path) -> None:
    storage._write_by_hand(tmp_path, 3)
    storage.check_by_hand(tmp_path, 3)
    with pytest.raises(RuntimeError, match="of 4 files the folder has 3"):
        storage.check_by_hand(tmp_path, 4)
    (tmp_path / "000001").write_bytes(b"other")
    with pytest.raises(RuntimeError, match="000001 is not what was written"):
        storage.check_by_hand(tmp_path, 3)
    with pytest.raises(RuntimeError, match="file 1 is read as other bytes"):
        storage._read_by_hand(tmp_path, 3)


def test_a_pipeline_with_a_limit_that_has_no_effect_is_refused() -> None:
    section = "{type: pass, backpressure: {algorithm: fixed}"
    with pytest.raises(RuntimeError, match="W502"):
        pipelines.load(LINEAR.replace("{type: pass", section), pipelines.registry())


@pytest.mark.parametrize("figures", [{}, {"cpu": float("nan")}, {"cpu": float("inf")}])
def test_a_round_without_a_figure_is_refused(figures: dict[str, float]) -> None:
    subject = Subject(name=OURS, measure=lambda: figures)
    case = Case(name="c", answers="?", metrics=(Metric(name="cpu", unit="us"),), subjects=(subject,))
    with pytest.raises(RuntimeError, match="which is no figure"):
        run_case(case, 1, lambda _: None)


def test_a_simulated_run_that_loses_a_message_is_refused() -> None:
    report = simulate(simulation.CONFIG, registry=simulation.REGISTRY, inputs={"r0": range(3)})
    assert simulation.checked(report, 3) is report
    with pytest.raises(AssertionError, match="2 of 3 messages have left"):
        simulation.checked(replace(report, outputs={"/queue/out": report.outputs["/queue/out"][1:]}), 3)
    broken = report.with_broken([Broken(name="nothing is lost", text="one is")])
    with pytest.raises(AssertionError, match="nothing is lost: one is"):
        simulation.checked(broken, 3)
