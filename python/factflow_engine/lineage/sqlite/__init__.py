"""Lineage store in a folder of SQLite files; `schema` describes a file, `sink` who writes which."""

from factflow_engine.lineage.sqlite.errors import LineageStoreError
from factflow_engine.lineage.sqlite.location import SqliteLineageSettings
from factflow_engine.lineage.sqlite.reader import SqliteLineageReader
from factflow_engine.lineage.sqlite.sink import SqliteLineage

__all__ = ["LineageStoreError", "SqliteLineage", "SqliteLineageReader", "SqliteLineageSettings"]
