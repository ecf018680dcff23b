"""Lineage in PostgreSQL, by URLs `postgresql://...`. Needs the extra `postgres`.

Kept separate from the segments in SQLite: what they share is the protocol.
"""

from factflow_engine.lineage.postgres.provider import PostgresLineage

__all__ = ["PostgresLineage"]
