"""The simulated broker: a queue provider with the semantics of a durable one, in virtual time, with faults.

`broker` is its outside; a `connection` is one process's side of it, with `subscription`s and `calls`; `store`, `states` and
`starts` are what it keeps, each change in one step; a `line` orders the messages of one queue; `mischief` decides what goes wrong.
`comparison` plays `histories` on two providers, for the proof that the broker does what a real one does.
"""

from factflow_engine.testing.simulation.broker.broker import Broker
from factflow_engine.testing.simulation.broker.calls import DeadProcessError
from factflow_engine.testing.simulation.broker.comparison import compare_queues
from factflow_engine.testing.simulation.broker.connection import BrokerConnection
from factflow_engine.testing.simulation.broker.store import QueueCounts, bare_name

__all__ = ["Broker", "BrokerConnection", "DeadProcessError", "QueueCounts", "bare_name", "compare_queues"]
