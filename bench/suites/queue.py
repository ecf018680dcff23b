"""What durable messages cost: published, received and settled through `sqlite:///`, beside sqlite3 by hand.

Frames of about 200 bytes, in batches of 500. Rates are the inverse of the wall figures: 20 us a message are 50,000 a
second. The folder is the machine's temporary one; where that is memory, `power` waits for nothing.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from bench import pipelines
from bench.baselines import plain_sqlite
from bench.model import OURS, Case, Scale, Subject, at_most, within
from bench.timing import CPU, WALL, Stopwatch
from bench.workloads.messages import of_size
from factflow_engine import OrchestratorManager
from factflow_engine.frames import Frame, pack
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.queues.sqlite import Durability, SqliteQueue, SqliteSettings
from factflow_protocols import QueueProtocol

BATCH = 500
LEASED = 1_000
"""Messages of a batch that a hop handles; what the transport publishes at a time."""

HOPS = 3
PLAIN = "sqlite3 by hand"
QUEUE = "/queue/bench"
SYNCHRONOUS = {Durability.PROCESS: "NORMAL", Durability.POWER: "FULL"}

PUBLISHED_US = 1e6 / 50_000
SETTLED_US = 1e6 / 30_000


def cases(scale: Scale) -> list[Case]:
    """Publishing, consuming and a whole hop, at both durabilities; then many publishers at once."""
    batches = _batches(scale.of(20_000, least=scale.asked(BATCH, tiny=50)))
    found = []
    for durability in Durability:
        found += [_publishing(batches, durability), _consuming(batches, durability)]
    found.append(_execution(scale.of(10_000, least=scale.asked(BATCH, tiny=50))))
    found.append(_many(scale.of(4_000, least=40)))
    found.append(_beside_a_busy_thread(_batches(scale.asked(2_000, tiny=50))))
    return found


def _execution(count: int) -> Case:
    """Three routes in a row whose queues are in a file: stored, handed out, carried, stored again, acknowledged."""
    payloads = [of_size(100)] * count
    process, power = Durability.PROCESS, Durability.POWER
    return Case(
        name="execution",
        answers="What does a hop cost whose messages are stored before and after, in an execution of three routes?",
        metrics=(WALL, CPU),
        subjects=(
            Subject(name=OURS, measure=_carrying(payloads, _in_a_file(process)), note="survives a killed process"),
            Subject(name=PLAIN, measure=_by_hand(payloads, process), note="the same; one thread, no event loop"),
            Subject(name="ours, power", measure=_carrying(payloads, _in_a_file(power)), note="survives a power cut"),
            Subject(name=f"{PLAIN}, power", measure=_by_hand(payloads, power), note="the same, by hand"),
            Subject(
                name="ours, in memory", measure=_carrying(payloads, lambda _: MemoryQueue()), note="survives nothing"
            ),
        ),
        targets=(within("wall", [PLAIN], 1), within("cpu", [PLAIN], 1)),
        rounds=5,
    )


def _carrying(
    payloads: Sequence[Mapping[str, Any]], queue: Callable[[Path], QueueProtocol]
) -> Callable[[], Mapping[str, float]]:
    known = pipelines.registry()
    text = pipelines.linear("pass", capacity=100_000, prefetch=LEASED, routes=HOPS)

    async def run(path: Path) -> Mapping[str, float]:
        provider = queue(path)
        config = pipelines.load(text, known)
        async with OrchestratorManager(registry=known, queue=provider) as manager:
            execution = await manager.start(config)
            with Stopwatch() as watch:
                for start in range(0, len(payloads), BATCH):
                    await execution.publish_batch("r0", payloads[start : start + BATCH])
                report = await execution.complete()
        await provider.stop()
        return watch.per(pipelines.all_ended(report, len(payloads), hops=HOPS))

    def measure() -> Mapping[str, float]:
        with TemporaryDirectory() as folder:
            return trio.run(run, Path(folder) / "bench.db")

    return measure


def _in_a_file(durability: Durability) -> Callable[[Path], QueueProtocol]:
    return lambda path: SqliteQueue(SqliteSettings(path=path, durability=durability))


def _by_hand(payloads: Sequence[Mapping[str, Any]], durability: Durability) -> Callable[[], Mapping[str, float]]:
    """The same hops: the condition of the stage is asked of each message, and the message goes on as it is."""

    def handle(message: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return message if message["kind"] == "order" else None

    return plain_sqlite.carrying(handle, payloads, SYNCHRONOUS[durability], hops=HOPS, published=BATCH, size=LEASED)


def _batches(count: int) -> list[list[Frame]]:
    payload = pack(of_size(100))
    frames = [
        Frame.create(payload, message_id=(1_700_000_000_000 + number // 50 << 80 | number).to_bytes(16), time_ns=number)
        for number in range(count)
    ]
    return [frames[start : start + BATCH] for start in range(0, count, BATCH)]


def _pairs(batches: Sequence[Sequence[Frame]]) -> list[list[tuple[bytes, bytes]]]:
    return [[(frame.message_id, frame.encode()) for frame in batch] for batch in batches]


def _publishing(batches: Sequence[Sequence[Frame]], durability: Durability) -> Case:
    return Case(
        name=f"publish, {durability}",
        answers=f"What does a message cost that is published in batches of {BATCH} and survives: {durability}?",
        metrics=(WALL, CPU),
        subjects=(
            Subject(name=OURS, measure=_ours(batches, durability, consume=False)),
            Subject(name=PLAIN, measure=plain_sqlite.publishing(_pairs(batches), SYNCHRONOUS[durability])),
        ),
        targets=(at_most("wall", PUBLISHED_US, "us (50,000/s)"), within("wall", [PLAIN], 1.5)),
    )


def _consuming(batches: Sequence[Sequence[Frame]], durability: Durability) -> Case:
    return Case(
        name=f"receive and settle, {durability}",
        answers=f"What does a message cost that is received and settled in batches of {BATCH}, at durability {durability}?",
        metrics=(WALL, CPU),
        subjects=(
            Subject(name=OURS, measure=_ours(batches, durability, consume=True)),
            Subject(
                name=PLAIN,
                measure=plain_sqlite.consuming(_pairs(batches), SYNCHRONOUS[durability], BATCH),
            ),
        ),
        targets=(at_most("wall", SETTLED_US, "us (30,000/s)"), within("wall", [PLAIN], 2)),
    )


def _many(count: int) -> Case:
    frames = [frame for batch in _batches(count) for frame in batch]
    return Case(
        name="publish one at a time, power",
        answers="40 tasks that await each publish on its own: how much does group commit save them?",
        metrics=(WALL, CPU),
        subjects=(
            Subject(name=OURS, measure=_ours_one_by_one(frames, tasks=40)),
            Subject(
                name=PLAIN,
                measure=plain_sqlite.publishing([[pair] for [pair] in _pairs([[frame] for frame in frames])], "FULL"),
                note="a commit a message",
            ),
        ),
    )


def _beside_a_busy_thread(batches: Sequence[Sequence[Frame]]) -> Case:
    # The same amount at every scale: the waiting for each other begins after some milliseconds, and only where each
    # thread has a core. On a machine that is busy otherwise this case says nothing.
    return Case(
        name="publish beside a busy thread, process",
        answers="The same while another thread of the process never stops computing, as adapters may.",
        metrics=(WALL,),
        subjects=(
            Subject(name=OURS, measure=_beside(_ours(batches, Durability.PROCESS, consume=False))),
            Subject(
                name=PLAIN,
                measure=_beside(plain_sqlite.publishing(_pairs(batches), "NORMAL")),
                note="executemany gives up the interpreter's lock at each row; where a core is idle, the other thread is fast enough to take it",
            ),
        ),
        rounds=2,
    )


def _ours(
    batches: Sequence[Sequence[Frame]], durability: Durability, *, consume: bool
) -> Callable[[], Mapping[str, float]]:
    total = sum(map(len, batches))

    async def run(folder: Path) -> Mapping[str, float]:
        queue = SqliteQueue(SqliteSettings(path=folder / "q.db", durability=durability))
        with Stopwatch() as watch:
            for batch in batches:
                await queue.publish_batch(QUEUE, batch)
        if consume:
            async with queue.subscribe(QUEUE, "bench", 2 * BATCH, total) as subscription:
                got = 0
                with Stopwatch() as watch:
                    while got < total:
                        deliveries = await subscription.receive(BATCH)
                        await subscription.settle(deliveries)
                        got += len(deliveries)
        await queue.stop()
        return watch.per(total)

    return lambda: _in_a_folder(run)


def _ours_one_by_one(frames: Sequence[Frame], *, tasks: int) -> Callable[[], Mapping[str, float]]:
    async def run(folder: Path) -> Mapping[str, float]:
        queue = SqliteQueue(SqliteSettings(path=folder / "q.db", durability=Durability.POWER))

        async def publish(own: Sequence[Frame]) -> None:
            for frame in own:
                await queue.publish(QUEUE, frame)

        with Stopwatch() as watch:
            async with trio.open_nursery() as nursery:
                for task in range(tasks):
                    nursery.start_soon(publish, frames[task::tasks])
        await queue.stop()
        return watch.per(len(frames))

    return lambda: _in_a_folder(run)


def _in_a_folder(run: Callable[[Path], object]) -> Mapping[str, float]:
    with TemporaryDirectory() as folder:
        return trio.run(run, Path(folder))  # type: ignore[no-any-return, arg-type]


def _beside(measure: Callable[[], Mapping[str, float]]) -> Callable[[], Mapping[str, float]]:
    def measured() -> Mapping[str, float]:
        with _busy_thread():
            return measure()

    return measured


@contextmanager
def _busy_thread():  # type: ignore[no-untyped-def]
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            sum(range(50))

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
