"""Base class of adapters that read or write objects themselves; kept separate because few adapters do."""

from factflow_protocols.errors import StorageNotBoundError
from factflow_protocols.pipeline import PipelineAdapter
from factflow_protocols.storage import StorageProtocol


class StorageBackendAdapter(PipelineAdapter):
    """Adapter with an object store, `self.storage`, which holds the objects of its execution.

    Keys are relative to `executions/<execution>/`, and none leads out of it: two executions never see each other's
    objects. Name an object after the message, so that a redelivery replaces it and leaves no second one:
    `f"{context.route}/{context.stage}/{context.message_id}"`. What is written gets the stage's provenance as metadata.

    `process` must be `async def`, or run in a thread and call `trio.from_thread.run(self.storage.write, ...)`; a worker
    process has no store.

    Example:
        class Embed(StorageBackendAdapter):
            async def process(self, context: PipelineContext) -> AdapterResult:
                text, metadata = await self.storage.read(context.message["text_key"])
                key = f"{context.route}/{context.stage}/{context.message_id}.f32"
                await self.storage.write(key, vector_of(text), custom={"embedding_model": "minilm-l6-v2"})
                return AdapterResult(message={"key": key})
    """

    _storage: StorageProtocol | None = None

    @property
    def storage(self) -> StorageProtocol:
        """The object store of this adapter's execution.

        Raises:
            StorageNotBoundError: The engine has given none yet, as in a constructor or a test.
        """
        if self._storage is None:
            raise StorageNotBoundError(type(self).__name__)
        return self._storage

    def bind_storage(self, storage: StorageProtocol) -> None:
        """Take the object store. Called once, by the engine, before `open` and the first message; by a test instead.

        Raising fails the start of the execution.
        """
        self._storage = storage
