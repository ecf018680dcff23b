"""A drain that is given up in memory: what all other messages have led to is not thrown away with the one that is stuck."""

import trio

from factflow_protocols import AdapterResult, StatefulAdapter
from support.pipelines import running

TEXT = """
error_handling: {max_retries: 5, retry_delay_seconds: 50, jitter: none}
routes:
  work: {adapters: [{type: work}], outbound: [{route: store}]}
  store: {adapters: [{type: store}]}
"""


def stages(committed, *, seconds=0.0):
    async def work(context):
        if context.message == 50:
            raise OSError("not now")
        return AdapterResult.forward()

    class Store(StatefulAdapter):
        def __init__(self):
            self.kept = []

        async def process(self, context):
            self.kept.append(context.message)
            return None

        async def finish(self):
            await trio.sleep(seconds)
            committed.extend(self.kept)

    return {"work": work, "store": Store}


async def test_stages_finish_although_a_message_waits_for_another_attempt(autojump_clock):
    committed = []
    async with running(TEXT, adapters=stages(committed), seconds=200) as execution:
        await execution.publish_batch("work", list(range(100)))
        await trio.sleep(1)
        report = await execution.drain(1)
    assert report.status == "cancelled"
    assert sorted(committed) == [number for number in range(100) if number != 50]
    assert [held.by for held in report.held] == ["retry"]
    assert report.error == "drain gave up: what had begun or waited was not done within 1 s", "and no last words did"


async def test_statistics_without_details_name_no_message_and_no_breaker(autojump_clock):
    text = TEXT.replace("{type: work}", "{type: work, circuit_breaker: {}}")
    async with running(text, adapters=stages([]), seconds=200) as execution:
        await execution.publish_batch("work", list(range(100)))
        await trio.sleep(1)
        whole, counted = execution.statistics(), execution.statistics(details=False)
        await execution.cancel()
    assert (len(whole.held), list(whole.circuits)) == (1, ["work/work"])
    assert (counted.held, counted.circuits) == ((), {})
    assert (counted.routes, counted.status, counted.stalled) == (whole.routes, whole.status, whole.stalled)


async def test_statistics_name_a_thousand_held_messages_and_held_names_all(autojump_clock):
    async def work(context):
        raise OSError("not now")

    text = TEXT.replace("{type: work}]", "{type: work}], inbound: {capacity: 3000}")
    async with running(text, adapters=stages([]) | {"work": work}, seconds=200) as execution:
        await execution.publish_batch("work", list(range(2000)))
        await trio.sleep(1)
        some, everything = execution.statistics().held, execution.held()
        await execution.cancel()
    assert (len(some), len(everything)) == (1000, 2000)
    assert {held.message_id for held in some} < {held.message_id for held in everything}


async def test_an_immediate_cancel_asks_no_stage(autojump_clock):
    committed = []
    async with running(TEXT, adapters=stages(committed), seconds=200) as execution:
        await execution.publish_batch("work", list(range(100)))
        await trio.sleep(1)
        await execution.cancel()
    assert committed == []


async def test_a_cancel_cuts_short_what_is_being_said(autojump_clock):
    committed = []
    async with running(TEXT, adapters=stages(committed, seconds=20), seconds=200) as execution:
        await execution.publish_batch("work", list(range(100)))
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(execution.drain, 1)
            await trio.sleep(5)
            start = trio.current_time()
            await execution.cancel()
            assert trio.current_time() - start < 1
    assert committed == []
