"""Durable provider for one machine; `schema` describes the file, `writer` the group commit."""

from factflow_engine.queues.sqlite.administration import SqliteAdministration, open_administration
from factflow_engine.queues.sqlite.durability import Durability
from factflow_engine.queues.sqlite.location import QueueFileError, SqliteSettings
from factflow_engine.queues.sqlite.provider import SqliteQueue

__all__ = [
    "Durability",
    "QueueFileError",
    "SqliteAdministration",
    "SqliteQueue",
    "SqliteSettings",
    "open_administration",
]
