"""Databases of the store by the scheme of their URLs.

Kept separate from the databases because each is imported when a URL first needs it.
"""

import difflib
import importlib
from pathlib import Path
from typing import Final, cast

from factflow_engine.executions.database import Database
from factflow_engine.executions.errors import ExecutionStoreError, ExecutionStoreUrlError
from factflow_engine.executions.protocol import ExecutionStore
from factflow_engine.executions.sql_store import SqlStore
from factflow_engine.seams import Seams

DATABASES: Final = {
    "postgres": "factflow_engine.executions.postgres:PostgresDatabase[postgres]",
    "postgresql": "factflow_engine.executions.postgres:PostgresDatabase[postgres]",
    "sqlite": "factflow_engine.executions.sqlite:SqliteDatabase",
}
"""Scheme to `module:Class`, followed by `[extra]` if the class needs an extra of this distribution."""


def execution_store(url: str, *, directory: Path | None = None, seams: Seams | None = None) -> ExecutionStore:
    """Return the store that a URL names, such as `sqlite:///executions.db`. Nothing is opened yet.

    Args:
        url: The URL; its scheme selects the database.
        directory: Folder that relative paths start from; the working directory by default.
        seams: Ids and threads; the machine's own by default.

    Raises:
        ExecutionStoreUrlError: The URL cannot be read.
        ExecutionStoreError: The database needs an extra that is not installed.
    """
    scheme, colon, _ = url.partition(":")
    if scheme not in DATABASES or not colon:
        near = difflib.get_close_matches(scheme.lower(), DATABASES, 1)
        hint = f"did you mean {near[0]}://? " if near else ""
        raise ExecutionStoreUrlError(url, f"expected SCHEME://...; {hint}the schemes are {', '.join(DATABASES)}")
    target, _, extra = DATABASES[scheme].removesuffix("]").partition("[")
    module, _, name = target.partition(":")
    try:
        provider = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise ExecutionStoreError(
            url, f"needs what is not installed ({error}): pip install 'factflow-engine[{extra}]'"
        ) from error
    database = cast("Database", provider.from_url(url, directory=directory))
    return SqlStore(database, seams=seams or Seams.real())
