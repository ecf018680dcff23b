"""Durability of an adapter's state, read from its class.

Kept separate from the registry because the loader, the runtime and the registry's own checks all need it.
"""

import inspect
from typing import Final

from factflow_protocols import PipelineAdapter, StatefulAdapter

LOSS_REMEDY: Final = "give the adapter snapshot() and restore(), or durable_batches and flush(); or allow it: --allow-loss, allow_loss=True"
"""Remedy for the problem that `loss_text` states."""


def overrides(cls: type[PipelineAdapter], method: str) -> bool:
    """True if the class overrides a method of `StatefulAdapter`."""
    if not issubclass(cls, StatefulAdapter):
        return False
    return inspect.getattr_static(cls, method) is not inspect.getattr_static(StatefulAdapter, method)


def snapshots(cls: type[PipelineAdapter]) -> bool:
    """True if the adapter's state is stored with acknowledgements."""
    return overrides(cls, "snapshot")


def flushes(cls: type[PipelineAdapter]) -> bool:
    """True if the adapter makes its effects durable itself, before acknowledgements."""
    return issubclass(cls, StatefulAdapter) and cls.durable_batches


def loses_state(cls: type[PipelineAdapter]) -> bool:
    """True if the adapter keeps something across messages that is lost with the process."""
    if not issubclass(cls, StatefulAdapter) or snapshots(cls) or flushes(cls):
        return False
    return overrides(cls, "finish") if cls.keeps_state is None else cls.keeps_state


def keeps_anything(cls: type[PipelineAdapter]) -> bool:
    """True if a message may leave something in the adapter, durable or not, that a call less would lack."""
    return loses_state(cls) or snapshots(cls) or flushes(cls) or overrides(cls, "finish")


def loss_text(adapter_type: str) -> str:
    """Return the problem that such an adapter has on a queue that outlives the process."""
    return (
        f"adapter type {adapter_type!r} keeps something across messages that ends with the process, and the queue "
        "acknowledges the messages for good"
    )
