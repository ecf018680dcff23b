"""Init messages on a provider that outlives the process: all of them, once, wherever it dies."""

import pytest
import trio

from factflow_engine.frames import Frame, pack
from support.lives import Lives
from support.pipelines import Recorder

BEGINS = """
routes: {r: {adapters: [{type: work}]}, s: {adapters: [{type: work}]}}
init_message:
  - {route: r, payload: 1, key: k, headers: {h: 1}}
  - {route: s, payload: 2}
  - {route: r, payload: 3}
"""


@pytest.mark.parametrize("calls", range(9))
async def test_the_init_messages_are_all_published_once_wherever_the_process_dies(autojump_clock, calls):
    seen = []

    async def work(context):
        seen.append((context.message, context.key, context.headers.get("h"), context.message_id))
        await trio.sleep(1)

    lives = Lives(BEGINS, work=work)
    with trio.fail_after(1000):
        with trio.move_on_after(calls * 0.001 + 0.0005):  # a call to the provider takes a millisecond
            async with lives.manager() as manager:
                connection = lives.connection
                try:
                    await lives.start(manager)
                    await trio.sleep_forever()
                finally:
                    connection.cut()
        async with lives.manager() as manager:
            report = await (await lives.start(manager)).complete()
    assert report.status == "completed"
    assert sorted({(payload, key, header) for payload, key, header, _ in seen}, key=str) == [
        (1, "k", 1),
        (2, None, None),
        (3, None, None),
    ]
    assert len({identity for *_, identity in seen}) == 3, "what came twice has the same id"


async def test_who_waits_for_another_process_to_publish_the_init_messages_says_so(autojump_clock, caplog):
    work = Recorder()
    lives = Lives(BEGINS, work=work.adapter())
    marks = "exec:x:init-mark"
    async with lives.store.subscribe(marks, "init", 1) as other:
        await lives.store.publish(marks, Frame.create(pack(3), message_id=bytes(range(16))))
        held = await other.receive(1)
        async with lives.manager() as manager, trio.open_nursery() as nursery:
            nursery.start_soon(lives.start, manager)
            await trio.sleep(10)
            assert [record.levelname for record in caplog.records] == ["WARNING"]
            assert f"its lease on '{marks}' must end first" in caplog.text
            await other.settle(held)
    assert work.seen == [], "the other process has published them"
