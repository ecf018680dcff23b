"""Starting an id again, or in several processes at once: its init messages are published once, whoever dies when."""

import sqlite3
from contextlib import closing

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine.queues.sqlite.starts import Begin
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing.virtual_time import in_virtual_time
from factflow_protocols import AdapterResult
from support.clocks import seams_on_trio_time
from support.deaths import mortal
from support.internals import writer_of
from support.pipelines import Recorder, load, registry_of

ROUTES = """
routes:
  a: {inbound: {capacity: 1, prefetch: 1, concurrency: 1}, adapters: [{type: work}], outbound: [{route: b}]}
  b: {adapters: [{type: forward}]}
"""


class Starts:
    """Starts of one execution id on one file, each in a process of its own, as far as the file can tell."""

    def __init__(self, path, inits, *, seconds=1.0):
        self.path = path
        self.handled = []

        async def work(context):
            await trio.sleep(seconds)
            self.handled.append((context.message, context.message_id))
            return AdapterResult.forward()

        self.registry = registry_of(work=work)
        messages = ", ".join(f"{{route: a, payload: {number}}}" for number in range(inits))
        self.config = load(self.registry, f"{ROUTES}\ninit_message: [{messages}]")
        self.reports = []

    async def start(self, *, delay=0.0, **options):
        asked_ns = seams_on_trio_time().clock.wall_ns()
        await trio.sleep(delay)
        queue = mortal(self.path, **options)
        try:
            async with OrchestratorManager(registry=self.registry, queue=queue, seams=seams_on_trio_time()) as manager:
                execution = await manager.start(self.config, execution_id="x", asked_ns=asked_ns)
                report = await execution.complete()
            if not report.close_errors:  # else it was dead when it noted its end
                self.reports.append(report)
            return report, execution.begun
        finally:
            await queue.stop()

    def is_over(self):
        """True if the execution was closed: by one that completed, though it may have died before it could say so."""
        with closing(sqlite3.connect(self.path)) as connection:
            tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'run'").fetchone()
            return tables == (1,) and connection.execute("SELECT ended NOT NULL FROM run").fetchone() == (1,)

    async def try_to_start(self, options):
        try:
            await self.start(**options)
        except Exception:  # its process is dead: what it would say is heard by nobody
            await trio.lowlevel.checkpoint()


PROCESSES = st.lists(
    st.fixed_dictionaries(
        {
            "delay": st.floats(0, 0.5),
            "works": st.none() | st.integers(0, 40),
            "last_is_done": st.booleans(),
            "seed": st.integers(0, 1000),
        }
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=25)
@given(processes=PROCESSES, inits=st.integers(1, 3), seed=st.integers(0, 1 << 32))
def test_whoever_starts_together_and_dies_when_the_init_messages_are_published_once(
    tmp_path_factory, processes, inits, seed
):
    starts = Starts(tmp_path_factory.mktemp("starts") / "q.db", inits)

    async def histories(simulation):
        async with trio.open_nursery() as nursery:
            for options in processes:
                nursery.start_soon(starts.try_to_start, options)
        for _ in range(3):
            if starts.is_over():
                break
            await starts.try_to_start({"seed": seed})
        assert starts.is_over(), "somebody completes"
        identities = {identity for _, identity in starts.handled}
        assert len(identities) == inits, "published once, handled at least once"
        assert {payload for payload, _ in starts.handled} == set(range(inits))
        await trio.sleep(1)
        before = len(identities)
        report, begun = await starts.start()
        assert begun is not None, report
        assert begun.published, "what has completed begins anew"
        assert report.routes["a"].completed == inits
        assert len({identity for _, identity in starts.handled}) == before + inits

    in_virtual_time(histories, seed=seed)


async def test_a_start_that_was_asked_for_while_the_execution_lived_joins_it_however_late_it_comes(
    autojump_clock, tmp_path
):
    starts = Starts(tmp_path / "q.db", 2, seconds=0)
    begun = []

    async def begin(delay):
        begun.append((await starts.start(delay=delay))[1])

    async with trio.open_nursery() as nursery:
        for delay in (0, 50, 100):
            nursery.start_soon(begin, delay)
    assert [one.published for one in begun] == [True, False, False]
    assert [payload for payload, _ in starts.handled] == [0, 1]
    assert (await starts.start())[1].published, "this one was asked for after its end"


async def test_an_execution_that_died_with_nothing_left_is_ended_by_the_next_start(autojump_clock, tmp_path):
    starts = Starts(tmp_path / "q.db", 1)
    for works in range(100):  # the first that is late enough dies between its last acknowledgement and its end
        starts = Starts(tmp_path / f"{works}.db", 1)
        await starts.try_to_start({"works": works})
        queue = mortal(starts.path)
        left = await queue.administration.statistics() if starts.path.exists() else None
        await queue.stop()
        if starts.handled and left is not None and not any(line.waiting + line.leased for line in left.lines):
            break
    assert starts.reports == [] or starts.reports[-1].status != "completed"
    await trio.sleep(10)
    report, begun = await starts.start()
    assert (report.status, begun.published, begun.left) == ("completed", False, 0)
    assert len(starts.handled) == 1
    assert (await starts.start())[1].published


@pytest.mark.parametrize("operator", ["purge", "forget", "discard"])
async def test_what_an_operator_deletes_lets_the_next_start_begin_anew(autojump_clock, tmp_path, operator):
    starts = Starts(tmp_path / "q.db", 2)
    with trio.move_on_after(0.5):
        await starts.start()
    queue = mortal(starts.path)
    if operator == "discard":
        await queue.discard("exec:x:")
    else:
        await getattr(queue.administration, operator)("exec:x:/queue/a")
    await queue.stop()
    assert (await starts.start())[1].published


@pytest.mark.parametrize("end", ["cancelled", "failed"])
async def test_an_execution_that_ends_in_order_with_nothing_left_is_begun_anew(autojump_clock, tmp_path, end):
    async def work(context):
        if end == "failed":
            raise ValueError("is broken")

    registry = registry_of(work=work)
    config = load(registry, ROUTES + "\norchestrator: {max_failed_messages: 0}\ninit_message: {route: a, payload: 1}")
    queue = mortal(tmp_path / "q.db")
    for _ in range(2):
        async with OrchestratorManager(registry=registry, queue=queue, seams=seams_on_trio_time()) as manager:
            execution = await manager.start(config, execution_id="x")
            await trio.sleep(1)
            report = await execution.cancel()
        assert report.status == end
        assert execution.begun.published
    await queue.stop()


async def test_init_messages_have_room_whatever_the_capacity_and_other_messages_of_the_caller_replace_them(
    autojump_clock, tmp_path
):
    work = Recorder()
    registry = registry_of(work=work.adapter())
    config = load(registry, ROUTES + "\ninit_message: [{route: a, payload: 1}]")
    queue = mortal(tmp_path / "q.db")
    init = [*config.init_message] * 5
    async with OrchestratorManager(registry=registry, queue=queue, seams=seams_on_trio_time()) as manager:
        report = await (await manager.start(config, execution_id="x", init=init)).complete()
    assert report.routes["a"].received == 5
    assert work.seen == [1] * 5
    await queue.stop()


async def test_a_damaged_record_of_a_start_is_named(autojump_clock, tmp_path):
    starts = Starts(tmp_path / "q.db", 1)
    with trio.move_on_after(0.5):
        await starts.start()
    queue = mortal(starts.path)

    class Spoil(Begin):
        def apply(self, store):
            store.connection.execute("UPDATE run SET reads = 'nonsense'")

    await writer_of(queue).submit(Spoil("", (), (), asked_ns=0))
    await queue.stop()
    report, _ = await starts.start()
    assert report.status == "failed"
    assert "`factflow queue purge`" in report.error
