"""OpenLineage events of executions: when one starts and how it ends, to a file or an HTTP endpoint.

Kept separate from the rows of messages: events tell other systems that an execution ran, and never name a message.
"""

from factflow_engine.lineage.openlineage.announcer import Announcer
from factflow_engine.lineage.openlineage.events import EventFactory, EventType, RouteCounts, RoutePorts
from factflow_engine.lineage.openlineage.targets import check_url, open_target

__all__ = ["Announcer", "EventFactory", "EventType", "RouteCounts", "RoutePorts", "check_url", "open_target"]
