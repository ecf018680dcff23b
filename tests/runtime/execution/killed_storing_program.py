"""Executions on one SQLite file and one folder of objects that are killed over and over, beside one that is left alone.

Run as `python killed_storing_program.py FOLDER KILLS SEED`; prints one JSON document. Rounds go on until there were enough
kills. In each, the same messages wait in two copies of a file: one is processed in peace, the other by processes that are
killed at random instants, and one that is not at the end. Then the objects are compared, byte by byte.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import trio

from factflow_engine.config import PipelineConfigLoader
from factflow_engine.queues.sqlite import Durability, SqliteQueue, SqliteSettings
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.storages.providers import open_storage
from factflow_protocols import AdapterResult
from support.pipelines import registry_of

PIPELINE = """
version: "1.0"
storage: {metadata: {fields: [{name: number, type: integer, required: true}]}}
routes:
  pages:
    inbound: {prefetch: 16}
    adapters: [{type: pages, store: true}]
    outbound: [{route: parse}]
  parse:
    inbound: {prefetch: 32}
    adapters:
      - {type: parse, store: true}
      - {type: forward, name: html, store: {what: input, content_field: html, extension: html}}
    outbound: [{route: archive}]
    error_handling: {max_retries: 3, retry_delay_seconds: 0.005, jitter: none, dead_letter_queue: /queue/dead}
  archive:
    inbound: {prefetch: 32}
    adapters: [{type: store_object}]
"""
CHILDREN = 3


async def pages(context):
    async def each():
        for part in range(CHILDREN):
            await trio.sleep(0.001)
            yield {**context.message, "part": part, "raw": bytes([part]) * 50}

    return AdapterResult(emitted=each())


async def parse(context):
    message = context.message
    await trio.sleep(0.002)
    if message["number"] % 10 == 3 and message["part"] == 1:
        raise ValueError("never works")
    if message["number"] % 5 == 0 and context.attempt == 1:
        raise OSError("works the second time")
    return AdapterResult(message={**message, "html": f"<p>{message['number']}.{message['part']}</p>"})


async def run(folder, publish=0):
    """One life of the execution, to its end; or put so many messages into its queue, and process none."""
    registry = registry_of(pages=pages, parse=parse)
    config = PipelineConfigLoader(registry).load_text(PIPELINE)
    settings = SqliteSettings(
        path=folder / "q.db", durability=Durability("process"), lease_seconds=0.4, dedup_seconds=3600
    )
    queue, storage = SqliteQueue(settings), open_storage(f"file://{folder}/objects")
    async with OrchestratorManager(registry=registry, queue=queue, storage=storage) as manager:
        execution = await manager.start(config, execution_id="x")
        if publish:
            execution.pause()
            await execution.publish_batch("pages", [{"number": number} for number in range(publish)])
            await execution.cancel()
        else:
            await execution.complete()
    await queue.stop()
    await storage.close()
    return None if publish else str(execution.report.status)


async def objects_in(folder):
    storage = open_storage(f"file://{folder}/objects")
    found = {}
    async for key in storage.list():
        data, metadata = await storage.read(key)  # which compares the checksum
        custom = json.loads(json.dumps(metadata.custom))
        for name in ("time", "attempt"):
            del custom["provenance"][name]
        found[key] = data.hex(), metadata.content_type, custom
    await storage.close()
    return found


def files_in(folder):
    """Paths, sizes and times of all files of objects, sidecars and half-written ones too."""
    found = set()
    for parent, _, names in os.walk(folder / "objects"):
        for name in names:
            try:
                stat = Path(parent, name).stat()
            except FileNotFoundError:
                continue  # renamed meanwhile
            found.add((parent, name, stat.st_size, stat.st_mtime_ns))
    return found


def live(folder):
    """Fork a process that runs the execution to its end, if it is not killed before."""
    return forked(lambda: trio.run(run, folder), folder)


def forked(work, folder):
    """Fork a process for some work. This one never runs trio: its threads would be missing in the processes that it forks."""
    pid = os.fork()
    if pid == 0:
        status = 70
        try:
            work()
            status = 0
        except BaseException:
            with (folder / "surprises").open("a") as file:
                traceback.print_exc(file=file)
        finally:
            os._exit(status)
    return pid


def result_of(folder, function, *arguments):
    """Call an async function in a process of its own, and return what it returned."""
    answer = folder / "answer.json"
    work = lambda: answer.write_text(json.dumps(trio.run(function, *arguments)))  # noqa: E731
    _, status = os.waitpid(forked(work, folder), 0)
    assert status == 0, (folder / "surprises").read_text()
    return json.loads(answer.read_text())


def killed_round(folder, wanted, generator):
    """Kill until so many have died or the work is done; return how many died with work to do, and the objects that differ."""
    peace, war = folder / "peace", folder / "war"
    peace.mkdir(parents=True)
    result_of(peace, run, peace, 10 + 6 * wanted)
    shutil.copytree(peace, war)
    status = result_of(peace, run, peace)
    kills = 0
    while kills < wanted:
        before = files_in(war)
        pid = live(war)
        while files_in(war) == before and not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            time.sleep(0.002)
        time.sleep(
            generator.choice([0, 0.1, 0.5]) * generator.random()
        )  # it is at work: it has begun to write an object, or has replaced one
        os.kill(pid, signal.SIGKILL)
        _, ended = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(ended):
            break
        kills += 1
    after = result_of(war, run, war)
    left, right = result_of(peace, objects_in, peace), result_of(war, objects_in, war)
    differing = sorted(key for key in left.keys() | right.keys() if left.get(key) != right.get(key))
    surprises = war / "surprises"
    return {
        "kills": kills,
        "statuses": [status, after],
        "objects": len(left),
        "differing": differing[:5],
        "surprises": surprises.read_text() if surprises.exists() else "",
    }


def main(folder, kills, seed):
    generator = random.Random(seed)
    rounds = []
    while sum(each["kills"] for each in rounds) < kills and len(rounds) < 20:
        rounds.append(killed_round(folder / str(len(rounds)), min(kills, 10), generator))
    return rounds


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
