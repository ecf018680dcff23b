"""What lineage costs on the loop's side: a row more on the thread that carries messages, and the tail of an open loop.

A hop makes two rows: the visit of its stage, and its outcome. `lineage_store` measures the store's side.
"""

from collections.abc import Callable, Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Any

import trio

from bench import pipelines
from bench.model import OURS, Case, Metric, Scale, Subject, at_most, within
from bench.suites.latency import PERCENTILES, paced_into
from bench.timing import CPU, Stopwatch
from bench.workloads.messages import orders
from factflow_engine import ExecutionReport, LineageEntry, LineageSink, OrchestratorManager, OutcomeEntry, open_lineage
from factflow_engine.lineage.process import ProcessLineage

ROW = Metric(name="row", unit="ns a row")
OFF = "off"
SQLITE = "full, SQLite"
RATE = 20_000
FULL = "lineage: {mode: full, finish_seconds: 60}\n"
ROWS_A_HOP = 2
HOPS = 3


class Nowhere:
    """Takes packed rows and drops them."""

    async def write(self, entries: Sequence[LineageEntry], outcomes: Sequence[OutcomeEntry]) -> None:
        await trio.lowlevel.checkpoint()

    async def write_packed(self, parts: Sequence[bytes]) -> None:
        await trio.lowlevel.checkpoint()

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()


class NowhereAsTuples:
    """Takes rows one by one, as a sink of a few lines does, and drops them."""

    async def write(self, entries: Sequence[LineageEntry], outcomes: Sequence[OutcomeEntry]) -> None:
        await trio.lowlevel.checkpoint()

    async def close(self) -> None:
        await trio.lowlevel.checkpoint()


def cases(scale: Scale) -> list[Case]:
    """A hop with lineage beside one without, skipped stages, and the tail of an open loop."""
    passing, skipping = pipelines.linear("pass", capacity=1000), _skipping()
    return [
        _hop(scale, "hop", "Three routes in a row, a trivial adapter each: what does a row cost?", passing),
        _hop(scale, "skipped", "The same, with every stage skipped: what does a row cost?", skipping),
        _open_loop(scale),
    ]


def _skipping() -> str:
    return pipelines.linear("pass", capacity=1000).replace("value: order", "value: other")


def _hop(scale: Scale, name: str, answers: str, text: str) -> Case:
    many = orders(scale.of(20_000))
    run_off = carrying(text, many, None, rows=None)
    every = len(many) * HOPS * ROWS_A_HOP

    def beside_off(
        sink: LineageSink, section: str = FULL, rows: range | None = range(every, every + 1)
    ) -> Callable[[], Mapping[str, float]]:
        run = carrying(text + section, many, sink, rows=rows)

        def measure() -> Mapping[str, float]:
            before, figures, after = run_off()["cpu"], run(), run_off()["cpu"]
            return {**figures, "row": (figures["cpu"] - (before + after) / 2) * 1e3 / ROWS_A_HOP}

        return measure

    sampled = "lineage: {mode: sampled, sample_rate: 0.01}\n"
    return Case(
        name=name,
        answers=answers,
        metrics=(ROW, CPU),
        subjects=(
            Subject(name=OURS, measure=beside_off(Nowhere()), note="full, packed, dropped by the sink"),
            Subject(name="full, as tuples", measure=beside_off(NowhereAsTuples()), note="an object of Python's a row"),
            Subject(
                name="full, hashed", measure=beside_off(Nowhere(), FULL.replace("full", "full, hash_payloads: true"))
            ),
            Subject(
                name="sampled",
                measure=beside_off(Nowhere(), sampled, range(every // 2 + 1)),
                note="one root in a hundred",
            ),
            Subject(name=OFF, measure=beside_off(Nowhere(), "", None), note="against itself"),
        ),
        targets=(at_most("row", 500, "ns"), at_most("row", 50, "ns", of="sampled")),
    )


def check(report: ExecutionReport, rows: range | None) -> None:
    """Refuse a run whose rows are not those that were asked for.

    Args:
        report: The report of the run.
        rows: Numbers of rows that it may have written; None if it is to have no lineage.

    Raises:
        RuntimeError: Rows were lost, or are missing, or were written unasked.
    """
    lineage = report.lineage
    if (lineage is None) != (rows is None):
        raise RuntimeError(f"expected lineage of {rows} rows, got {lineage}")
    if lineage is not None and rows is not None and (lineage.lost or lineage.errors or lineage.written not in rows):
        raise RuntimeError(f"expected {rows} rows and none lost, got {lineage}")


def carrying(
    text: str, payloads: Sequence[Mapping[str, Any]], sink: LineageSink | None, *, rows: range | None
) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: carry the payloads with lineage into a sink, and `check` it; cost of one hop."""
    known = pipelines.registry()
    config = pipelines.load(text, known)

    async def run() -> Mapping[str, float]:
        async with OrchestratorManager(registry=known, lineage=sink) as manager:
            execution = await manager.start(config)
            with Stopwatch() as watch:
                for start in range(0, len(payloads), pipelines.BATCH):
                    await execution.publish_batch("r0", payloads[start : start + pipelines.BATCH])
                report = await execution.complete()
            check(report, rows)
            return watch.per(pipelines.all_ended(report, len(payloads), hops=HOPS))

    return lambda: trio.run(run)


def _open_loop(scale: Scale) -> Case:
    count = scale.of(RATE, least=scale.asked(2_500, tiny=100))
    every = count * HOPS * ROWS_A_HOP

    def full(report: ExecutionReport) -> None:
        check(report, range(every, every + 1))

    return Case(
        name=f"open loop, {RATE:,}/s",
        answers=f"{RATE:,} messages a second through three hops, six rows each: from due to handled by the last adapter?",
        metrics=PERCENTILES,
        subjects=(
            Subject(name=OURS, measure=paced_into(count, RATE, FULL, Nowhere(), full), note="full, packed, dropped"),
            Subject(name="full, as tuples", measure=paced_into(count, RATE, FULL, NowhereAsTuples(), full)),
            Subject(name=OFF, measure=paced_into(count, RATE, "", None, lambda report: check(report, None))),
            Subject(name=SQLITE, measure=_into_sqlite(count, ProcessLineage, full), note="in a process of its own"),
            Subject(name="full, SQLite, thread", measure=_into_sqlite(count, open_lineage, full), note="in a thread"),
        ),
        targets=(within("p99", [OFF], 1.3), within("p99", [OFF], 1.3, of=SQLITE)),
        rounds=9,
    )


def _into_sqlite(
    count: int, opener: Callable[[str], LineageSink], full: Callable[[ExecutionReport], None]
) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: the open loop with all its rows in SQLite, the last ones included."""

    def measure() -> Mapping[str, float]:
        with TemporaryDirectory() as folder:
            sink = opener(f"sqlite:///{folder}/lineage")
            try:
                return paced_into(count, RATE, FULL, sink, full)()
            finally:
                trio.run(sink.close)

    return measure
