"""Waits at the end for messages that other consumers have leased."""

from functools import partial

import trio

from factflow_engine.frames import Frame, pack
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.runtime.report import Holder
from factflow_protocols import LeasedElsewhere, QueueError
from support.clocks import seams_on_trio_time
from support.elsewhere import Connection
from support.lives import Lives
from support.pipelines import Recorder

ONE = "routes: {r: {inbound: {concurrency: 1, prefetch: 2}, adapters: [{type: work}], outbound: [{queue: /queue/out}]}}"


class LeasingConnection(Connection):
    """A store that tells what other consumers have, and that their leases end in half a minute."""

    error_of_leases = None

    def make_subscription(self, queue, inner):
        subscription = super().make_subscription(queue, inner)
        subscription.leased_elsewhere = partial(self.leased_elsewhere, inner)
        return subscription

    async def leased_elsewhere(self, inner):
        await trio.lowlevel.checkpoint()
        if self.error_of_leases is not None:
            raise self.error_of_leases
        return LeasedElsewhere(await inner.depth(), 30.0)


async def test_what_other_consumers_have_is_among_the_waits_until_they_are_done(autojump_clock):
    lives = Lives(ONE, work=Recorder().adapter())
    message = Frame.create(pack(1), message_id=b"1" * 16)
    await lives.store.publish("exec:x:/queue/r", message)
    async with lives.store.subscribe("exec:x:/queue/r", "", 10) as other:
        had = await other.receive(10)
        connection = LeasingConnection(lives.store)
        async with (
            OrchestratorManager(registry=lives.registry, queue=connection, seams=seams_on_trio_time()) as manager,
            trio.open_nursery() as nursery,
        ):
            execution = await manager.start(lives.config, execution_id="x", allow_loss=True)
            assert execution.statistics().waits == (), "nobody waits for the end"
            nursery.start_soon(execution.complete)
            await trio.sleep(10)
            [wait] = execution.statistics().waits
            assert (wait.route, wait.by, wait.messages) == ("r", Holder.ELSEWHERE, 1)
            assert 28 < wait.next_seconds <= 30
            assert str(wait).startswith("r: 1 leased by other consumers, or delayed, next in ")
            await other.settle(had)
            report = await execution.wait_ended()
            assert report.status == "completed"
            assert execution.statistics().waits == ()


async def test_a_provider_that_cannot_tell_what_others_have_ends_the_execution(autojump_clock):
    lives = Lives(ONE, work=Recorder().adapter())
    await lives.store.publish("exec:x:/queue/r", Frame.create(pack(1), message_id=b"1" * 16))
    async with lives.store.subscribe("exec:x:/queue/r", "", 10) as other:
        await other.receive(10)
        connection = LeasingConnection(lives.store)
        connection.error_of_leases = QueueError("exec:x:/queue/r", "the file is gone")
        async with OrchestratorManager(
            registry=lives.registry, queue=connection, seams=seams_on_trio_time()
        ) as manager:
            execution = await manager.start(lives.config, execution_id="x", allow_loss=True)
            report = await execution.complete()
    assert report.status == "failed"
    assert "asking what others have" in report.error
