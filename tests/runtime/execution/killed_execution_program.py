"""Executions on one SQLite file that are killed over and over, and the account of what became of their messages.

Run as `python killed_execution_program.py FILE KILLS SEED DURABILITY`; prints one JSON document. Two processes at a time
run the same execution: three routes with a fan-out, a retry and a dead letter. Both publish, and write down at once what
was asked and what was accepted; what is there before the kill stays.
"""

import itertools
import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import trio

from factflow_engine.config import PipelineConfigLoader
from factflow_engine.queues.sqlite import Durability, SqliteQueue, SqliteSettings
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_protocols import AdapterResult
from support.pipelines import registry_of

PIPELINE = """
version: "1.0"
routes:
  split: {inbound: {prefetch: 64}, adapters: [{type: split3}], outbound: [{route: work}]}
  work:
    inbound: {prefetch: 64}
    adapters: [{type: work}]
    outbound: [{route: last}]
    error_handling: {max_retries: 1, retry_delay_seconds: 0.01, jitter: none, dead_letter_queue: /queue/dead}
  last: {inbound: {prefetch: 64}, adapters: [{type: forward}], outbound: [{queue: /queue/out}]}
"""


async def split3(context):
    message = context.message
    return AdapterResult(emitted=({**message, "part": part} for part in range(3)))


async def work(context):
    message = context.message
    if message["number"] % 7 == 0:
        await trio.sleep(0.002)
    if message["number"] % 10 == 3 and message["part"] == 1:
        raise ValueError("never works")
    if message["number"] % 5 == 0 and context.attempt == 1:
        raise OSError("works the second time")
    return AdapterResult(message={**message, "worked": True})


def opened(path, durability):
    return SqliteQueue(
        SqliteSettings(path=path, durability=Durability(durability), lease_seconds=0.4, dedup_seconds=3600)
    )


async def run(path, durability, *, publish=None):
    """One life of the execution, to its end if nobody publishes."""
    registry = registry_of(split3=split3, work=work)
    config = PipelineConfigLoader(registry).load_text(PIPELINE)
    queue = opened(path, durability)
    async with OrchestratorManager(registry=registry, queue=queue) as manager:
        execution = await manager.start(config, execution_id="x")
        if publish is not None:
            await publish(execution)
        report = await execution.complete()
    await queue.stop()
    return report


def publisher(log, generator):
    async def publish(execution):
        while True:
            numbers = [generator.getrandbits(40) for _ in range(generator.randint(1, 20))]
            note(log, "asked", numbers)
            await execution.publish_batch("split", [{"number": number} for number in numbers])
            note(log, "accepted", numbers)

    return publish


def note(log, word, numbers):
    """A kill may cut a write short: the next one begins on a line of its own, and a line that is not whole was not said."""
    os.write(log, "".join(f"\n{word} {number} ." for number in numbers).encode())


def live(path, log_path, seed, durability):
    """Fork a process that runs the execution; it ends by being killed, or says what else ended it."""
    pid = os.fork()
    if pid == 0:
        try:
            log = os.open(log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            trio.run(lambda: run(path, durability, publish=publisher(log, random.Random(seed))))
        except BaseException:
            with log_path.with_suffix(".surprises").open("a") as file:
                traceback.print_exc(file=file)
        finally:
            os._exit(70)
    return pid


async def everything_in(path, durability, name):
    queue = opened(path, durability)
    found = []
    async with queue.subscribe(name, "s", 1000) as subscription:
        while await subscription.depth():
            deliveries = await subscription.receive(1000)
            found += [delivery.message for delivery in deliveries]
            await subscription.settle(deliveries)
    await queue.stop()
    return found


def main(path, kills, seed, durability):
    generator = random.Random(seed)
    log_path = path.with_suffix(".log")
    surprises = log_path.with_suffix(".surprises")
    workers = [live(path, log_path, generator.getrandbits(32), durability) for _ in range(2)]
    longest = 0.15
    for killed in itertools.count():
        if killed >= kills:
            if killed >= 10 * kills or (log_path.exists() and "accepted" in log_path.read_text()):
                break
            longest *= 1.1  # a busy machine: nobody lived for long enough to be told anything
        time.sleep(generator.uniform(0.01, longest))
        victim = workers.pop(generator.randrange(2))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        workers.append(live(path, log_path, generator.getrandbits(32), durability))
    for victim in workers:
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
    report = trio.run(run, path, durability)
    out = trio.run(everything_in, path, durability, "exec:x:/queue/out")
    dead = trio.run(everything_in, path, durability, "exec:x:/queue/dead")
    told = {"asked": set(), "accepted": set()}
    for line in log_path.read_text().splitlines():
        if line.endswith(" ."):
            word, number, _ = line.split(" ")
            told[word].add(int(number))

    def parts(number):
        return {(number, part) for part in range(3) if not (number % 10 == 3 and part == 1)}

    def buried(numbers):
        return {(number, 1) for number in numbers if number % 10 == 3}

    arrived = [(message.value()["number"], message.value()["part"]) for message in out]
    letters = [(message.value()["number"], message.value()["part"]) for message in dead]
    due = {pair for number in told["accepted"] for pair in parts(number)}
    possible = {pair for number in told["asked"] for pair in parts(number)}
    return {
        "kills": killed + len(workers),
        "status": str(report.status),
        "accepted": len(told["accepted"]),
        "arrived": len(arrived),
        "dead": len(letters),
        "surprises": surprises.read_text() if surprises.exists() else "",
        "lost": len(due - set(arrived)) + len(buried(told["accepted"]) - set(letters)),
        "spurious": len(set(arrived) - possible) + len(set(letters) - buried(told["asked"])),
        "twice_with_other_ids": len(arrived) - len(set(arrived)),
        "changed": sum(set(message.value()) != {"number", "part", "worked"} for message in out),
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])))
