"""The engine's `PipelineContext`, made natively for each call of an adapter.

Registered as a subclass here, because the protocols package knows nothing of the engine.
"""

from factflow_engine.native import MessageContext
from factflow_protocols import PipelineContext

PipelineContext.register(MessageContext)

__all__ = ["MessageContext"]
