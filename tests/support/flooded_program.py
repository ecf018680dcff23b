"""A program as an embedding one would be, flooded until Ctrl-C, which then prints its counters as one line of JSON.

Run as `python flooded_program.py HOW ROUNDS`. Each round is a run of trio of its own: the program says `ready`, floods
the pipeline, is interrupted once, and prints what it published and what the report says. HOW is what it does then:

- `leave`: nothing; the interrupt leaves the manager's block.
- `drain`: catches the interrupt inside the block, drains, and leaves.
- `wait`: its main task only waits; other tasks publish.

Nothing of the engine's private parts is used, and nothing is protected from KeyboardInterrupt.
"""

import faulthandler
import json
import sys

import trio

from factflow_engine import (
    AdapterResult,
    OrchestratorManager,
    PipelineAdapter,
    PipelineConfigLoader,
    ValidatingAdapterRegistry,
)

PIPELINE = """
version: "1.0"
routes:
  a: {inbound: {capacity: 50}, adapters: [{type: forward}], outbound: [{route: b}]}
  b:
    inbound: {concurrency: 3, capacity: 20}
    adapters: [{type: suspend}, {type: thread, condition: {field: slow, operator: eq, value: true}}]
    outbound: [{route: c}]
  c: {inbound: {concurrency: 2, capacity: 20}, adapters: [{type: emit}, {type: suspend}], outbound: [{route: sink}]}
  sink: {inbound: {concurrency: 2, capacity: 10}, adapters: [{type: record}]}
"""
registry = ValidatingAdapterRegistry()


@registry.register("forward")
class Forward(PipelineAdapter):
    async def process(self, context):
        return AdapterResult.forward()


@registry.register("suspend")
class Suspend(PipelineAdapter):
    async def process(self, context):
        await trio.lowlevel.checkpoint()
        return AdapterResult(message=context.message)


@registry.register("thread")
class Thread(PipelineAdapter):
    def process(self, context):
        return AdapterResult.forward()


@registry.register("emit")
class Emit(PipelineAdapter):
    async def process(self, context):
        return AdapterResult(emitted=[[context.message["n"], child] for child in range(2)])


@registry.register("record")
class Record(PipelineAdapter):
    async def process(self, context):
        Round.current.seen.append(context.message)
        if len(Round.current.seen) % 3:
            await trio.lowlevel.checkpoint()


class Round:
    """One run of the program."""

    current: "Round"

    def __init__(self, how):
        Round.current = self
        self.how = how
        self.execution = None
        self.accepted = []
        self.publishers = 1
        self.seen = []

    async def main(self):
        async with OrchestratorManager(registry=registry) as manager:
            self.execution = await manager.start(PipelineConfigLoader(registry).load_text(PIPELINE))
            if self.how == "complete":
                self.publishers = 2
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.flood, 0, 2)
                    nursery.start_soon(self.flood, 1, 2)
                    print("ready", flush=True)
                    await trio.sleep_forever()
            elif self.how == "leave":
                print("ready", flush=True)
                await self.flood(0, 1)
            else:
                try:
                    print("ready", flush=True)
                    await self.flood(0, 1)
                except KeyboardInterrupt:
                    await self.execution.drain()

    async def flood(self, first, step):
        number = first
        while True:
            await self.execution.publish("a", {"n": number, "slow": number % 7 == 0})
            self.accepted.append(number)
            number += step

    def run(self):
        """Run to the interrupt, and give the counters."""
        interrupted = False
        try:
            trio.run(self.main)
        except* KeyboardInterrupt:
            interrupted = True
        report = self.execution.report
        routes = {} if report is None else report.routes
        return {
            "accepted": self.accepted,
            "publishers": self.publishers,
            "seen": self.seen,
            "interrupted": interrupted,
            "status": None if report is None else report.status,
            "routes": {
                name: {
                    count: getattr(route, count)
                    for count in ("received", "in_flight", "waiting", "emitted", "completed", "filtered", "failed")
                }
                for name, route in routes.items()
            },
        }


if __name__ == "__main__":
    for _ in range(int(sys.argv[2])):
        faulthandler.dump_traceback_later(30, exit=True)  # a hang says where
        print(json.dumps(Round(sys.argv[1]).run()), flush=True)
