"""Executions of one id, one after the other, on one store."""

from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.execution.manager import OrchestratorManager
from support.clocks import seams_on_trio_time
from support.elsewhere import Connection
from support.pipelines import load, registry_of


class Lives:
    """Executions of one id, one after the other, on one store."""

    def __init__(self, text, **adapters):
        self.registry = registry_of(**adapters)
        self.config = load(self.registry, text)
        self.store = MemoryQueue()
        self.connection = None

    def manager(self):
        self.connection = Connection(self.store)
        return OrchestratorManager(registry=self.registry, queue=self.connection, seams=seams_on_trio_time())

    async def start(self, manager):
        return await manager.start(self.config, execution_id="x", allow_loss=True)

    def held(self, queue):
        return [frame.value() for line in self.store.targets(f"exec:x:{queue}") for frame in line.frames()]
