"""Files of queues as a command finds them: filled and drained in one call, without an event loop of the test's own."""

from pathlib import Path
from typing import Any

import trio

from factflow_engine.frames import Frame, pack
from factflow_engine.queues.sqlite import SqliteQueue
from support.sqlite_queues import settings


def fill(path: Path, *frames: Frame, queue: str = "/queue/a", **options: Any) -> None:
    async def publish() -> None:
        provider = SqliteQueue(settings(path, **options))
        result = await provider.publish_batch(queue, frames)
        assert not result.errors
        await provider.stop()

    trio.run(publish)


def drain(path: Path, queue: str) -> list[Frame]:
    async def receive() -> list[Frame]:
        provider = SqliteQueue(settings(path))
        frames: list[Frame] = []
        async with provider.subscribe(queue, "s", 1000) as subscription:
            with trio.move_on_after(0.3):
                while True:
                    deliveries = await subscription.receive(100)
                    frames += [delivery.message for delivery in deliveries]
                    await subscription.settle(deliveries)
        await provider.stop()
        return frames

    return trio.run(receive)


def dead(number: int, *, error: str = "boom", queue: str | None = "/queue/parse", **fields: Any) -> Frame:
    header = {
        "route": "parse", "stage": "markdown", "error_type": "ValueError", "error": error, "attempts": 3,
        "time_ns": 1_700_000_000_000_000_000, "config_hash": "c" * 64, "queue": queue, **fields,
    }  # fmt: skip
    headers = {"dead_letter": header, "trace": "t"}
    return Frame.create(pack(number), message_id=number.to_bytes(16), headers=headers, key="k")
