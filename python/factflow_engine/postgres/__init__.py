"""Connections to PostgreSQL that tasks of trio share, for the stores that keep rows there.

psycopg blocks, so it works in threads (its asynchronous half needs asyncio). Needs the extra `postgres`. Kept separate
from the stores because lineage and executions are stored in the same way.
"""

from factflow_engine.postgres.blocking import BlockingConnection
from factflow_engine.postgres.connection import PostgresConnection
from factflow_engine.postgres.errors import PostgresError, PostgresUrlError
from factflow_engine.postgres.settings import PostgresSettings

__all__ = ["BlockingConnection", "PostgresConnection", "PostgresError", "PostgresSettings", "PostgresUrlError"]
