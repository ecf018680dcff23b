"""Kit for tests of pipelines, adapters, queue providers and object stores; the engine never imports it.

`simulate` runs a pipeline in virtual time, as a function of a seed, and `in_virtual_time` a program; `run_adapter`, or by
hand `FakeContext`, `outputs`, `open_stage` and `finished`, test one adapter; `validating_registry`, `RecordingQueue`,
`RecordingStorage` and `assert_outcomes` are for tests of pipelines; `Assertions` judges what the code of a run asserts;
`check_adapter`, `check_queue_provider`, `check_storage_provider` and `check_lineage_sink` run the `*_CHECKS`, of which each is a
coroutine function without any test framework. The module `strategies`, which needs hypothesis, draws configurations,
conditions, messages, inputs and faults.
"""

from factflow_engine.testing.adapter_calls import AdapterRun, NotReturnedError
from factflow_engine.testing.adapter_runs import AssertionsBrokenError, run_adapter, run_adapter_async
from factflow_engine.testing.conformance.adapters import ADAPTER_CHECKS
from factflow_engine.testing.conformance.administration import ADMINISTRATION_CHECKS
from factflow_engine.testing.conformance.checking_adapters import check_adapter
from factflow_engine.testing.conformance.checking_providers import (
    Opener,
    check_lineage_sink,
    check_queue_provider,
    check_storage_provider,
)
from factflow_engine.testing.conformance.durable import DURABLE_QUEUE_CHECKS
from factflow_engine.testing.conformance.expectations import Check, ConformanceError, OpenQueue, check_name
from factflow_engine.testing.conformance.lineage import LINEAGE_CHECKS, LineageCheck, OpenLineage
from factflow_engine.testing.conformance.lineage_rows import lineage_entry, lineage_id, lineage_outcome
from factflow_engine.testing.conformance.order import ORDER_CHECKS
from factflow_engine.testing.conformance.queues import QUEUE_CHECKS
from factflow_engine.testing.conformance.report import CheckResult, ConformanceReport, Verdict
from factflow_engine.testing.conformance.starts import START_CHECKS
from factflow_engine.testing.conformance.stateful import STATEFUL_ADAPTER_CHECKS
from factflow_engine.testing.conformance.states import STATE_CHECKS
from factflow_engine.testing.conformance.storage import (
    DURABLE_STORAGE_CHECKS,
    STORAGE_CHECKS,
    OpenStorage,
    StorageCheck,
)
from factflow_engine.testing.conformance.transactions import TRANSACTION_CHECKS
from factflow_engine.testing.fakes import FakeContext, finished, open_stage, outputs
from factflow_engine.testing.outcomes import OutcomesError, assert_outcomes
from factflow_engine.testing.recording_queue import QueueRecord, RecordingQueue
from factflow_engine.testing.recording_storage import RecordingStorage, StorageRecord
from factflow_engine.testing.registries import FakeUseError, adapter_of, validating_registry
from factflow_engine.testing.simulation import (
    Campaign,
    Determinism,
    Input,
    SimulationError,
    SimulationFailedError,
    SimulationReport,
    check_determinism,
    explore,
    shrink,
    simulate,
)
from factflow_engine.testing.simulation.assertion_names import sometimes_in
from factflow_engine.testing.simulation.assertions import (
    AssertionCount,
    Assertions,
    AssertionUseError,
    CampaignTotals,
    RoundPolling,
    Violation,
    observed,
)
from factflow_engine.testing.simulation.broker import (
    Broker,
    BrokerConnection,
    DeadProcessError,
    QueueCounts,
    compare_queues,
)
from factflow_engine.testing.simulation.faulty_storage import FaultyStorage, StorageFaults
from factflow_engine.testing.simulation.power import PowerCutDisk, PowerCutFiles, PowerCuts, PowerCutThreads
from factflow_engine.testing.simulation.process_seams import seams_of_process
from factflow_engine.testing.simulation.processes import (
    CRASHED,
    Crashed,
    Ended,
    SimulatedProcess,
    SimulatedProcessError,
    SimulatedProcesses,
)
from factflow_engine.testing.virtual_time import (
    CountedIds,
    SimulatedClock,
    SimulatedRandomness,
    SimulatedThreads,
    Simulation,
    in_virtual_time,
)

__all__ = [
    "ADAPTER_CHECKS",
    "ADMINISTRATION_CHECKS",
    "CRASHED",
    "DURABLE_QUEUE_CHECKS",
    "DURABLE_STORAGE_CHECKS",
    "LINEAGE_CHECKS",
    "ORDER_CHECKS",
    "QUEUE_CHECKS",
    "START_CHECKS",
    "STATEFUL_ADAPTER_CHECKS",
    "STATE_CHECKS",
    "STORAGE_CHECKS",
    "TRANSACTION_CHECKS",
    "AdapterRun",
    "AssertionCount",
    "AssertionUseError",
    "Assertions",
    "AssertionsBrokenError",
    "Broker",
    "BrokerConnection",
    "Campaign",
    "CampaignTotals",
    "Check",
    "CheckResult",
    "ConformanceError",
    "ConformanceReport",
    "CountedIds",
    "Crashed",
    "DeadProcessError",
    "Determinism",
    "Ended",
    "FakeContext",
    "FakeUseError",
    "FaultyStorage",
    "Input",
    "LineageCheck",
    "NotReturnedError",
    "OpenLineage",
    "OpenQueue",
    "OpenStorage",
    "Opener",
    "OutcomesError",
    "PowerCutDisk",
    "PowerCutFiles",
    "PowerCutThreads",
    "PowerCuts",
    "QueueCounts",
    "QueueRecord",
    "RecordingQueue",
    "RecordingStorage",
    "RoundPolling",
    "SimulatedClock",
    "SimulatedProcess",
    "SimulatedProcessError",
    "SimulatedProcesses",
    "SimulatedRandomness",
    "SimulatedThreads",
    "Simulation",
    "SimulationError",
    "SimulationFailedError",
    "SimulationReport",
    "StorageCheck",
    "StorageFaults",
    "StorageRecord",
    "Verdict",
    "Violation",
    "adapter_of",
    "assert_outcomes",
    "check_adapter",
    "check_determinism",
    "check_lineage_sink",
    "check_name",
    "check_queue_provider",
    "check_storage_provider",
    "compare_queues",
    "explore",
    "finished",
    "in_virtual_time",
    "lineage_entry",
    "lineage_id",
    "lineage_outcome",
    "observed",
    "open_stage",
    "outputs",
    "run_adapter",
    "run_adapter_async",
    "seams_of_process",
    "shrink",
    "simulate",
    "sometimes_in",
    "validating_registry",
]
