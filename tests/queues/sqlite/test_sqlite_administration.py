"""What operators do with a file while it is in use."""

import pytest
import trio

from support.sqlite_queues import message, simulated


@pytest.mark.parametrize("name", ["check", "statistics"])
async def test_looking_through_the_file_holds_no_lock_whoever_writes_meanwhile(name, autojump_clock, tmp_path):
    queue = simulated(tmp_path / "q.db")
    await queue.publish("/queue/q", message(0))
    statements = []
    queue._writer._store.connection.set_trace_callback(statements.append)
    async with trio.open_nursery() as nursery:
        for number in range(1, 10):
            nursery.start_soon(queue.publish, "/queue/q", message(number))
        nursery.start_soon(getattr(queue.administration, name))
        for number in range(10, 20):
            nursery.start_soon(queue.publish, "/queue/q", message(number))
    looked, *_ = [
        place
        for place, sql in enumerate(statements)
        if sql.startswith(("PRAGMA integrity", "SELECT count(*) FROM seen"))
    ]
    begun = [sql for sql in statements[:looked] if sql.startswith(("BEGIN", "COMMIT", "ROLLBACK"))]
    assert begun[-1] == "BEGIN"
    await queue.stop()
