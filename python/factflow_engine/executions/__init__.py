"""Stored configurations and executions: what ran, on what, how it ended.

`home` names the directory of a machine's stores. `protocol` is the store, of which `sql_store` is the implementation for
SQL databases; `records` are what it keeps. A module is imported when one of its names is first used.
"""

from typing import TYPE_CHECKING, Any, Final

from factflow_engine.names import first_use

if TYPE_CHECKING:
    from factflow_engine.executions.derivation import ReplayError
    from factflow_engine.executions.errors import (
        ConfigInUseError,
        ConfigNameError,
        ExecutionStoreError,
        ExecutionStoreUrlError,
        IdempotencyError,
        RecordValueError,
        StaleConfigError,
        UnknownRecordError,
    )
    from factflow_engine.executions.home import Home, HomeError, find_home
    from factflow_engine.executions.protocol import ExecutionStore
    from factflow_engine.executions.providers import execution_store
    from factflow_engine.executions.publishing import ReplayStoppedError
    from factflow_engine.executions.recording import Executions, Origin, StartedExecution, open_executions
    from factflow_engine.executions.records import (
        ConfigDraft,
        ExecutionDraft,
        ExecutionFilter,
        ExecutionSummary,
        StoredConfig,
        StoredExecution,
    )
    from factflow_engine.executions.recovery import RecoveryPlan, plan_recovery, recover
    from factflow_engine.executions.references import RecordedObjects
    from factflow_engine.executions.replay import ReplayPlan, plan_replay

_MODULES: Final = {
    "ConfigDraft": "factflow_engine.executions.records",
    "ConfigInUseError": "factflow_engine.executions.errors",
    "ConfigNameError": "factflow_engine.executions.errors",
    "ExecutionDraft": "factflow_engine.executions.records",
    "ExecutionFilter": "factflow_engine.executions.records",
    "ExecutionStore": "factflow_engine.executions.protocol",
    "ExecutionStoreError": "factflow_engine.executions.errors",
    "ExecutionStoreUrlError": "factflow_engine.executions.errors",
    "ExecutionSummary": "factflow_engine.executions.records",
    "Executions": "factflow_engine.executions.recording",
    "Home": "factflow_engine.executions.home",
    "HomeError": "factflow_engine.executions.home",
    "IdempotencyError": "factflow_engine.executions.errors",
    "Origin": "factflow_engine.executions.recording",
    "RecordValueError": "factflow_engine.executions.errors",
    "RecordedObjects": "factflow_engine.executions.references",
    "RecoveryPlan": "factflow_engine.executions.recovery",
    "ReplayError": "factflow_engine.executions.derivation",
    "ReplayPlan": "factflow_engine.executions.replay",
    "ReplayStoppedError": "factflow_engine.executions.publishing",
    "StaleConfigError": "factflow_engine.executions.errors",
    "StartedExecution": "factflow_engine.executions.recording",
    "StoredConfig": "factflow_engine.executions.records",
    "StoredExecution": "factflow_engine.executions.records",
    "UnknownRecordError": "factflow_engine.executions.errors",
    "execution_store": "factflow_engine.executions.providers",
    "find_home": "factflow_engine.executions.home",
    "open_executions": "factflow_engine.executions.recording",
    "plan_recovery": "factflow_engine.executions.recovery",
    "plan_replay": "factflow_engine.executions.replay",
    "recover": "factflow_engine.executions.recovery",
}

__all__ = [
    "ConfigDraft",
    "ConfigInUseError",
    "ConfigNameError",
    "ExecutionDraft",
    "ExecutionFilter",
    "ExecutionStore",
    "ExecutionStoreError",
    "ExecutionStoreUrlError",
    "ExecutionSummary",
    "Executions",
    "Home",
    "HomeError",
    "IdempotencyError",
    "Origin",
    "RecordValueError",
    "RecordedObjects",
    "RecoveryPlan",
    "ReplayError",
    "ReplayPlan",
    "ReplayStoppedError",
    "StaleConfigError",
    "StartedExecution",
    "StoredConfig",
    "StoredExecution",
    "UnknownRecordError",
    "execution_store",
    "find_home",
    "open_executions",
    "plan_recovery",
    "plan_replay",
    "recover",
]


def __getattr__(name: str) -> Any:
    return first_use(name, namespace=globals(), modules=_MODULES)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
