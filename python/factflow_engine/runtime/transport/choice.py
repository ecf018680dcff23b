"""The one place where it is decided whether routes work on a provider's own channels or through its protocol.

Only the memory queue has channels of this process; whether messages outlive it, each provider says itself
(`QueueProtocol.outlives_process`).

Kept separate from `base` because the protocol knows none of its implementations.
"""

from collections.abc import Sequence

from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.runtime.transport.base import Channels
from factflow_engine.runtime.transport.durable_channels import DurableChannels
from factflow_engine.runtime.transport.memory import MemoryChannels
from factflow_protocols import QueueProtocol


def channels_for(provider: QueueProtocol, execution_id: str, *, cycles: Sequence[Sequence[str]]) -> Channels:
    """Return the channels of an execution, which its transport is made of.

    Args:
        provider: Where messages wait.
        execution_id: Whose queues they are.
        cycles: Ids of the routes of each cycle of queues.
    """
    if isinstance(provider, MemoryQueue):
        return MemoryChannels(provider, execution_id, cycles=cycles)
    return DurableChannels(provider, execution_id, cycles=cycles)
