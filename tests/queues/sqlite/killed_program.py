"""A program that is killed over and over while it works on a queue, and the account of what it was told.

Run as `python killed_program.py FILE KILLS SEED DURABILITY`; prints one JSON document. Workers are forked, so that a
life costs milliseconds: each publishes roots into one queue, and carries from that queue to a second one (publish the
child, then ack), and from there to a third in one step, which refuses no duplicates. What a worker was told is appended
to a log at once; what was written there before the kill stays.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import trio

from factflow_engine.frames import Frame, pack, unpack
from factflow_engine.queues.sqlite import Durability, SqliteQueue, SqliteSettings
from factflow_protocols import MessageStatus, Nack

SOURCE, MIDDLE, TARGET = "/queue/source", "/queue/middle", "/queue/target"


class Log:
    """Lines that outlive the process: `asked`, `accepted` or `settled`, and an id.

    A kill may cut a write short: the next one begins on a line of its own, and a line that is not whole was not said.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, word: str, ids) -> None:
        os.write(self._file, "".join(f"\n{word} {identity.hex()} ." for identity in ids).encode())


def settings(path: Path, durability: str, *, dedup_seconds: float = 3600) -> SqliteSettings:
    return SqliteSettings(path=path, durability=Durability(durability), lease_seconds=0.4, dedup_seconds=dedup_seconds)


async def publish(queue: SqliteQueue, log: Log, generator: random.Random) -> None:
    while True:
        frames = [root(generator.randbytes(16)) for _ in range(generator.randint(1, 30))]
        log.write("asked", [frame.message_id for frame in frames])
        result = await queue.publish_batch(SOURCE, frames)
        assert set(result.statuses) <= {MessageStatus.ACCEPTED, MessageStatus.DUPLICATE}
        log.write("accepted", [frame.message_id for frame in frames])


async def carry(queue: SqliteQueue, log: Log, generator: random.Random) -> None:
    async with queue.subscribe(SOURCE, "s", 100, 5_000) as subscription:
        while True:
            deliveries = list(await subscription.receive(generator.randint(1, 60)))
            generator.shuffle(deliveries)
            nacked = [delivery for delivery in deliveries if generator.random() < 0.05]
            done = [delivery for delivery in deliveries if delivery not in nacked]
            await queue.publish_batch(MIDDLE, [delivery.message.child(1, 0) for delivery in done])
            await subscription.settle(done, [Nack(delivery, generator.uniform(0, 0.05)) for delivery in nacked])
            log.write("settled", [delivery.message.message_id for delivery in done])


async def carry_at_once(queue: SqliteQueue, generator: random.Random) -> None:
    async with queue.subscribe(MIDDLE, "s", 100, 5_000) as subscription:
        while True:
            deliveries = await subscription.receive(generator.randint(1, 60))
            children = [delivery.message.child(1, 0) for delivery in deliveries]
            assert await subscription.publish_and_settle([(TARGET, children)], deliveries)


def root(identity: bytes) -> Frame:
    return Frame.create(pack(identity.hex() * 4), message_id=identity)


async def work(path: Path, log: Log, generator: random.Random, durability: str) -> None:
    queue = SqliteQueue(settings(path, durability))
    gullible = SqliteQueue(settings(path, durability, dedup_seconds=0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(publish, queue, log, generator)
        nursery.start_soon(carry, queue, log, generator)
        nursery.start_soon(carry_at_once, gullible, generator)


def live(path: Path, log_path: Path, seed: int, durability: str) -> int:
    """Fork a worker; it ends by being killed, or says what else ended it."""
    pid = os.fork()
    if pid == 0:
        try:
            trio.run(work, path, Log(log_path), random.Random(seed), durability)
        except BaseException:
            with log_path.with_suffix(".surprises").open("a") as file:
                traceback.print_exc(file=file)
        finally:
            os._exit(70)
    return pid


async def drain(path: Path, durability: str) -> tuple[list[bytes], list[bytes], list[str]]:
    """Carry over what is left, and list what the first queue and the last gave, in ids."""
    queue = SqliteQueue(settings(path, durability))
    carried, arrived = [], []
    # The second queue has room for what is left in the first, even if the kills left it full.
    async with (
        queue.subscribe(MIDDLE, "s", 1000, 10**9) as middle,
        queue.subscribe(SOURCE, "s", 1000, 10**9) as source,
    ):
        while await source.depth():
            deliveries = await source.receive(500)
            assert all(
                unpack(delivery.message.payload) == delivery.message.message_id.hex() * 4 for delivery in deliveries
            )
            await queue.publish_batch(MIDDLE, [delivery.message.child(1, 0) for delivery in deliveries])
            await source.settle(deliveries)
            carried += [delivery.message.message_id for delivery in deliveries]
        while await middle.depth():
            deliveries = await middle.receive(500)
            children = [delivery.message.child(1, 0) for delivery in deliveries]
            assert await middle.publish_and_settle([(TARGET, children)], deliveries)
    async with queue.subscribe(TARGET, "s", 1000, 10**9) as subscription:
        while await subscription.depth():
            deliveries = await subscription.receive(500)
            await subscription.settle(deliveries)
            arrived += [delivery.message.message_id for delivery in deliveries]
    problems = [problem.text for problem in await queue.administration.check()]
    await queue.stop()
    return carried, arrived, problems


def main(path: Path, kills: int, seed: int, durability: str) -> dict[str, object]:
    generator = random.Random(seed)
    log_path = path.with_suffix(".log")
    surprises = log_path.with_suffix(".surprises")
    workers = [live(path, log_path, generator.getrandbits(32), durability) for _ in range(2)]
    for _ in range(kills):
        time.sleep(generator.uniform(0.002, 0.12))
        victim = workers.pop(generator.randrange(2))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        workers.append(live(path, log_path, generator.getrandbits(32), durability))
    while not (surprises.exists() or (log_path.exists() and "\nsettled " in log_path.read_text())):
        time.sleep(0.02)  # on a busy machine no worker has lived for long yet
    for victim in workers:
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
    carried, arrived, problems = trio.run(drain, path, durability)
    told = {"asked": set(), "accepted": set(), "settled": set()}
    for line in log_path.read_text().splitlines():
        if line.endswith(" ."):
            word, identity, _ = line.split(" ")
            told[word].add(bytes.fromhex(identity))
    children = {root(identity).child(1, 0).child(1, 0).message_id: identity for identity in told["asked"]}
    return {
        "kills": kills + len(workers),
        "accepted": len(told["accepted"]),
        "settled": len(told["settled"]),
        "surprises": surprises.read_text() if surprises.exists() else "",
        "lost": len(told["accepted"] - {children[identity] for identity in arrived if identity in children}),
        "spurious": sum(identity not in children for identity in arrived),
        "twice": len(arrived) - len(set(arrived)),
        "settled_and_back": len(told["settled"] & set(carried)),
        "problems": problems,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))
