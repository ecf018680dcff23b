"""The object store of one execution: its configuration's own, or its manager's; none, if no stage needs one.

Kept separate from `assembly` because only this module decides whose store it is, and who closes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import trio

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.error_texts import describe
from factflow_engine.errors import NoStorageError
from factflow_engine.seams import Seams
from factflow_engine.stages.keys import execution_prefix
from factflow_protocols import StorageBackendAdapter, StorageError, StorageProtocol

if TYPE_CHECKING:
    from factflow_engine.config import PipelineGlobalConfig


class ExecutionStorage:
    """Object store of one execution.

    Attributes:
        store: The store.
    """

    def __init__(self, store: StorageProtocol, *, is_own: bool) -> None:
        """Prepare; `is_own` is True if the execution has opened the store, and closes it."""
        self.store: Final = store
        self._is_own = is_own

    async def check(self, execution_id: str) -> None:
        """Ask the store for keys that nobody has, so that one that cannot be used fails the start, not each message.

        Raises:
            StorageError: It cannot be read: it is not reached, its bucket is missing, its folder is a file.
        """
        prefix = f"{execution_prefix(execution_id)}.check"
        try:
            async for _ in self.store.list(prefix):
                pass  # pragma: no cover - no route has such a name
        except StorageError as error:
            raise StorageError(prefix, f"the stages' object store cannot be used: {_reason(error)}") from error
        except Exception as error:
            raise StorageError(prefix, f"the stages' object store cannot be used: {describe(error)}") from error

    async def close(self, seconds: float) -> str | None:
        """Close the store if it is the execution's own; return what went wrong, None if nothing did.

        Cancellation: none; it takes `seconds` at most.
        """
        if not self._is_own:
            return None
        with trio.CancelScope(shield=True), trio.move_on_after(seconds) as scope:
            try:
                await self.store.close()
            except Exception as error:  # noqa: BLE001 - reported with the execution, whose work is done
                return f"storage: {describe(error)}"
        return f"storage: did not close within {seconds:g} s" if scope.cancelled_caught else None


def _reason(error: StorageError) -> str:
    return str(error).removeprefix(f"object {error.key!r}: ")


def needs_of(config: PipelineGlobalConfig, registry: ValidatingAdapterRegistry) -> Iterator[str]:
    """Yield the stages that need an object store, as `route/stage: why`."""
    for route_id, route in config.routes.items():
        for stage in route.adapters:
            if stage.store is not None:
                yield f"{route_id}/{stage.name}: store"
            elif issubclass(registry.get(stage.type).adapter_class, StorageBackendAdapter):
                yield f"{route_id}/{stage.name}: adapter type {stage.type!r}"


def storage_of(
    config: PipelineGlobalConfig, registry: ValidatingAdapterRegistry, given: StorageProtocol | None, seams: Seams
) -> ExecutionStorage | None:
    """Return the object store of an execution; None if no stage needs one.

    Args:
        config: Its configuration; a URL there takes precedence.
        registry: Registry of the stages' adapters.
        given: The manager's store, if it has one.
        seams: Time and threads of the execution, for a store of its own.

    Raises:
        NoStorageError: A stage needs a store, and there is none.
        StorageUrlError: The configuration's URL cannot be read.
        FactflowError: Its provider cannot be used.
    """
    needs = tuple(needs_of(config, registry))
    if not needs:
        return None
    url = None if config.storage is None else config.storage.url
    if url is not None:
        # Imported late: most programs give the store, or need none.
        from factflow_engine.storages.providers import open_storage  # noqa: PLC0415

        return ExecutionStorage(open_storage(url, directory=config.directory, seams=seams), is_own=True)
    if given is None:
        raise NoStorageError(needs)
    return ExecutionStorage(given, is_own=False)
