"""Store of configurations and executions over a `Database`: each method is one transaction, run in a thread.

Kept separate from the statements because it decides only what is a transaction, and how it is durable.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import trio

from factflow_engine.executions import sql_configs, sql_executions
from factflow_engine.executions.database import Database, Session
from factflow_engine.executions.errors import ExecutionStoreError
from factflow_engine.executions.records import (
    Begin,
    ConfigDraft,
    ExecutionDraft,
    ExecutionFilter,
    ExecutionSummary,
    Renewal,
    StoredConfig,
    StoredExecution,
)
from factflow_engine.runtime.report import ExecutionStatus
from factflow_engine.seams import Seams
from factflow_protocols import FactflowError

T = TypeVar("T")


class SqlStore:
    """Implementation of `ExecutionStore`, which documents the methods; `store` is any SQL database.

    Args:
        database: The database.
        seams: Ids of configurations, and threads.
    """

    def __init__(self, database: Database, *, seams: Seams) -> None:
        self.name: Final = database.name
        self._database = database
        self._seams = seams
        self._turn = trio.Lock()  # the database takes one call at a time

    async def save_config(
        self, draft: ConfigDraft, *, of: str | None = None, expected: int | None = None
    ) -> StoredConfig:
        """See `ExecutionStore`."""
        ids, saved_ns = self._seams.ids, draft.saved_ns
        work = partial(
            sql_configs.save_config, draft=draft, of=of, expected=expected, new_id=lambda: ids.new(saved_ns).hex()
        )
        return await self._write(work)

    async def set_active(self, config_id: str, *, active: bool) -> None:
        """See `ExecutionStore`."""
        await self._write(partial(sql_configs.set_active, config_id=config_id, active=active))

    async def config(self, named: str, *, version: int | None = None) -> StoredConfig:
        """See `ExecutionStore`."""
        return await self._read(partial(sql_configs.config, named=named, version=version))

    async def configs(self, *, active: bool | None = None) -> Sequence[StoredConfig]:
        """See `ExecutionStore`."""
        return await self._read(partial(sql_configs.configs, active=active))

    async def delete_config(self, config_id: str, *, force: bool = False) -> None:
        """See `ExecutionStore`."""
        await self._write(partial(sql_configs.delete_config, config_id=config_id, force=force))

    async def begin(self, draft: ExecutionDraft, *, lease_seconds: float) -> Begin:
        """See `ExecutionStore`."""
        work = partial(sql_executions.begin, draft=draft, lease_seconds=lease_seconds)
        return await self._write(work, repeatable=True)

    async def renew(
        self, execution_id: str, *, lease_seconds: float, statistics: Mapping[str, Any] | None, seen_ns: int
    ) -> Renewal:
        """See `ExecutionStore`."""
        work = partial(
            sql_executions.renew,
            execution_id=execution_id,
            lease_seconds=lease_seconds,
            statistics=statistics,
            seen_ns=seen_ns,
        )
        return await self._write(work, durable=False)

    async def finish(
        self,
        execution_id: str,
        status: ExecutionStatus,
        *,
        ended_ns: int,
        error: str | None,
        report: Mapping[str, Any] | None,
        limits: Mapping[str, Any] | None = None,
    ) -> None:
        """See `ExecutionStore`."""
        work = partial(
            sql_executions.finish,
            execution_id=execution_id,
            status=status,
            ended_ns=ended_ns,
            error=error,
            report=report,
            limits=limits,
        )
        await self._write(work)

    async def request_cancel(self, execution_id: str, *, grace_seconds: float) -> ExecutionSummary:
        """See `ExecutionStore`."""
        return await self._write(
            partial(sql_executions.request_cancel, execution_id=execution_id, grace_seconds=grace_seconds)
        )

    async def execution(self, named: str) -> StoredExecution:
        """See `ExecutionStore`."""
        return await self._read(partial(sql_executions.execution, named=named))

    async def status(self, execution_id: str) -> ExecutionSummary:
        """See `ExecutionStore`."""
        return await self._read(partial(sql_executions.status, execution_id=execution_id))

    async def executions(self, chosen: ExecutionFilter) -> Sequence[ExecutionSummary]:
        """See `ExecutionStore`."""
        return await self._read(partial(sql_executions.executions, chosen=chosen))

    async def learnt_limits(self, name: str, config_id: str | None) -> Mapping[str, Any]:
        """See `ExecutionStore`."""
        return await self._read(partial(sql_executions.learnt_limits, name=name, config_id=config_id))

    async def examine(self) -> Sequence[str]:
        """See `ExecutionStore`."""
        async with self._turn:
            return await self._seams.threads.run(self._database.examine)

    async def close(self) -> None:
        """See `ExecutionStore`."""
        with trio.CancelScope(shield=True):
            async with self._turn:
                await self._seams.threads.run(self._database.close)

    async def _read(self, work: Callable[[Session], T]) -> T:
        async with self._turn:
            return await self._run(lambda: self._database.transact(work, writes=False))

    async def _write(self, work: Callable[[Session], T], *, durable: bool = True, repeatable: bool = False) -> T:
        def whole(session: Session) -> T:
            result = work(session)
            sql_executions.store_interruptions(session)  # after the work: a lease that it renews is not interrupted
            return result

        async with self._turn:
            return await self._run(
                lambda: self._database.transact(whole, writes=True, durable=durable, repeatable=repeatable)
            )

    async def _run(self, call: Callable[[], T]) -> T:
        try:
            return await self._seams.threads.run(call)
        except FactflowError:
            raise
        except ValueError as error:
            raise ExecutionStoreError(self.name, f"a record in it is damaged: {error}") from error
