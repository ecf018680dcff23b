"""Choice between a provider's own channels and its protocol, made only here.

Only the memory queue has channels in this process; each provider states itself whether messages outlive the process
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
    """Return the channels of an execution, which make its transport.

    Args:
        provider: Provider of the queues.
        execution_id: Id that names the queues.
        cycles: Ids of the routes of each cycle of queues.
    """
    if isinstance(provider, MemoryQueue):
        return MemoryChannels(provider, execution_id, cycles=cycles)
    return DurableChannels(provider, execution_id, cycles=cycles)
