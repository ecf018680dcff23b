"""Simulation of pipelines: the whole engine in one process, in virtual time, as a function of a seed.

`simulate` runs a configuration; `faults` and `models` are data: what goes wrong, and how stages behave; the report says
what came out, what happened and what was broken. `broker` is a queue provider that outlives simulated processes.
"""

from factflow_engine.testing.simulation.determinism import Determinism, check_determinism
from factflow_engine.testing.simulation.errors import SimulatedFailureError, SimulationError, SimulationFailedError
from factflow_engine.testing.simulation.exploring import Campaign, explore, shrink
from factflow_engine.testing.simulation.faults import (
    CancelExecution,
    Crash,
    Delay,
    DropDelivery,
    Duplicate,
    FailQueue,
    FailStage,
    FailStorage,
    Fault,
    FaultPlanError,
    FaultRates,
    LoseLease,
    PowerCut,
    Reorder,
    SkewClock,
    SlowStage,
    StepClock,
    StickStage,
    plan_text,
    read_plan,
)
from factflow_engine.testing.simulation.inputs import Input, InputError
from factflow_engine.testing.simulation.models import (
    Bimodal,
    Constant,
    Lognormal,
    Outage,
    Record,
    Replace,
    ServiceTime,
    StageChange,
    StageModel,
    StageModelError,
    Weave,
)
from factflow_engine.testing.simulation.oracle import Broken
from factflow_engine.testing.simulation.report import Output, SimulationCounts, SimulationReport
from factflow_engine.testing.simulation.run import simulate
from factflow_engine.testing.simulation.staging import RecordedCall
from factflow_engine.testing.simulation.trace import Trace, TraceEvent

__all__ = [
    "Bimodal",
    "Broken",
    "Campaign",
    "CancelExecution",
    "Constant",
    "Crash",
    "Delay",
    "Determinism",
    "DropDelivery",
    "Duplicate",
    "FailQueue",
    "FailStage",
    "FailStorage",
    "Fault",
    "FaultPlanError",
    "FaultRates",
    "Input",
    "InputError",
    "Lognormal",
    "LoseLease",
    "Outage",
    "Output",
    "PowerCut",
    "Record",
    "RecordedCall",
    "Reorder",
    "Replace",
    "ServiceTime",
    "SimulatedFailureError",
    "SimulationCounts",
    "SimulationError",
    "SimulationFailedError",
    "SimulationReport",
    "SkewClock",
    "SlowStage",
    "StageChange",
    "StageModel",
    "StageModelError",
    "StepClock",
    "StickStage",
    "Trace",
    "TraceEvent",
    "Weave",
    "check_determinism",
    "explore",
    "plan_text",
    "read_plan",
    "shrink",
    "simulate",
]
