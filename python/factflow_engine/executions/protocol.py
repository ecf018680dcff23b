"""Protocol of a store of configurations and executions.

Kept separate from its implementations, which share `sql_store`: a store on another database needs only a `Database`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

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


class ExecutionStore(Protocol):
    """Store that several processes use at once.

    Each method is one transaction, and raises `ExecutionStoreError` if the store failed; then nothing was stored.
    Cancellation: all of the call was stored, or nothing.

    An execution is alive while its lease is, by the store's own clock: `begin` and `renew` extend it. Reading shows one
    whose lease has run out as `interrupted`, and the next call that writes stores that.
    """

    async def save_config(
        self, draft: ConfigDraft, *, of: str | None = None, expected: int | None = None
    ) -> StoredConfig:
        """Save a new configuration, or the next version of one. The executions that run it are not touched.

        Args:
            draft: What to save.
            of: Id of the configuration that gets a version; None for a new one.
            expected: Version that the draft was made of, if another one is to be refused.

        Raises:
            ConfigNameError: Another configuration has the name.
            StaleConfigError: It is at another version than expected.
            UnknownRecordError: `of` is unknown.
        """
        ...

    async def set_active(self, config_id: str, *, active: bool) -> None:
        """Allow running a configuration, or forbid it.

        Raises:
            UnknownRecordError: There is no such configuration.
        """
        ...

    async def config(self, named: str, *, version: int | None = None) -> StoredConfig:
        """Return a configuration by its name, its id, or an unambiguous beginning of one of them.

        Raises:
            UnknownRecordError: There is none, or not this version, or several.
        """
        ...

    async def configs(self, *, active: bool | None = None) -> Sequence[StoredConfig]:
        """Return the latest version of each configuration, by name."""
        ...

    async def delete_config(self, config_id: str, *, force: bool = False) -> None:
        """Delete a configuration with all versions. Its executions stay.

        Raises:
            ConfigInUseError: It is running, and `force` is False.
            UnknownRecordError: There is no such configuration.
        """
        ...

    async def begin(self, draft: ExecutionDraft, *, lease_seconds: float) -> Begin:
        """Store a running execution, or find the one that has the draft's idempotency key.

        Of several calls with one key, in any processes, one stores.

        Raises:
            IdempotencyError: The key belongs to an execution of another configuration.
        """
        ...

    async def renew(
        self, execution_id: str, *, lease_seconds: float, statistics: Mapping[str, Any] | None, seen_ns: int
    ) -> Renewal:
        """Extend a lease, and store the latest statistics. An execution that was shown as interrupted runs again.

        May be lost by a power cut, other than what the other methods store.

        Raises:
            UnknownRecordError: There is no such execution, or its end is stored.
        """
        ...

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
        """Store the end of an execution.

        Raises:
            UnknownRecordError: There is no such execution.
        """
        ...

    async def request_cancel(self, execution_id: str, *, grace_seconds: float) -> ExecutionSummary:
        """Ask the process that runs an execution to cancel it; `renew` tells it. Of two requests the shorter grace applies.

        An interrupted execution is cancelled at once. If its process lives after all, its next renewal takes it back, and
        tells it.

        Returns:
            The execution as it is then: one that has ended is not touched.

        Raises:
            UnknownRecordError: There is no such execution.
        """
        ...

    async def execution(self, named: str) -> StoredExecution:
        """Return an execution by its id, its scope, its tag, or an unambiguous beginning of its id, or the `latest`.

        The first of these that is known decides. Of several with one scope, or with one tag, the latest.

        Raises:
            UnknownRecordError: There is none, or several.
        """
        ...

    async def status(self, execution_id: str) -> ExecutionSummary:
        """Return an execution by its whole id, without its large parts; cheap enough to be called often.

        Raises:
            UnknownRecordError: There is no such execution.
        """
        ...

    async def executions(self, chosen: ExecutionFilter) -> Sequence[ExecutionSummary]:
        """Return executions, the latest first."""
        ...

    async def learnt_limits(self, name: str, config_id: str | None) -> Mapping[str, Any]:
        """Return what the limits of the latest execution that stored any had learnt; empty if none has.

        Args:
            name: The pipeline's name.
            config_id: Stored configuration, if it is one.
        """
        ...

    async def examine(self) -> Sequence[str]:
        """Return what is wrong with the store itself, such as damage; empty if nothing is."""
        ...

    async def close(self) -> None:
        """Close the store. Records stay."""
        ...
