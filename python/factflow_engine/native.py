"""The only importer of the Rust extension, so that a missing build is explained once.

Everything else imports native names from here.
"""

try:
    from factflow_engine._native import (
        BUILT_IN_OPERATORS,
        CONDITION_CODES,
        STEP_AWAITABLE,
        STEP_ENDED,
        STEP_LEFT_OPEN,
        STEP_RETURNED,
        STEP_STRANDED,
        STEP_SUSPENDED,
        Batch,
        Breaker,
        BreakerPermit,
        BreakerSettings,
        Carrier,
        Channel,
        Condition,
        Counters,
        FieldPath,
        Frame,
        FrameDecoder,
        Journal,
        MessageContext,
        PatternBudget,
        RouteTable,
        RouteTableStatistics,
        Siblings,
        Suspension,
        Worker,
        WorkerPool,
        compile_condition,
        label_of,
        pack,
        unpack,
        validate,
    )
except ImportError as error:
    if error.msg.startswith("factflow-engine"):
        raise  # it is built, and says why it cannot be used here
    raise ImportError(
        "factflow-engine's Rust extension is not built for this interpreter. In a checkout run `make setup`; "
        "elsewhere `pip install factflow-engine` needs stable Rust (rustup) on PATH when no wheel fits. "
        f"The import said: {error}"
    ) from error

__all__ = [
    "BUILT_IN_OPERATORS",
    "CONDITION_CODES",
    "STEP_AWAITABLE",
    "STEP_ENDED",
    "STEP_LEFT_OPEN",
    "STEP_RETURNED",
    "STEP_STRANDED",
    "STEP_SUSPENDED",
    "Batch",
    "Breaker",
    "BreakerPermit",
    "BreakerSettings",
    "Carrier",
    "Channel",
    "Condition",
    "Counters",
    "FieldPath",
    "Frame",
    "FrameDecoder",
    "Journal",
    "MessageContext",
    "PatternBudget",
    "RouteTable",
    "RouteTableStatistics",
    "Siblings",
    "Suspension",
    "Worker",
    "WorkerPool",
    "compile_condition",
    "label_of",
    "pack",
    "unpack",
    "validate",
]
