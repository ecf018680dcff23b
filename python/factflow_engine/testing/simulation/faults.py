"""Faults of a simulated run, as data: each says what goes wrong, where, and when.

A plan is a sequence of faults; `plan_text` and `read_plan` write it and read it as one line of JSON, and `repr` of a fault
is Python that makes it again. A fault without a rate happens once, at a place counted from 1, so that a plan can be made
smaller fault by fault. `FaultRates` draws faults from the seed of the run; a report lists those that it drew as faults
without a rate. Kept separate from what makes them happen, because plans are drawn, shrunk, printed and stored elsewhere.

Queues are named as the configuration names them (`/queue/parse`), stages as `route/stage`, processes by number from 0.
Seconds are virtual, from the beginning of the run.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, ClassVar, Final, Literal

from factflow_engine.testing.simulation.values import MOST_SECONDS, is_count, is_number, is_time
from factflow_protocols import FactflowError


class FaultPlanError(FactflowError, ValueError):
    """A fault that cannot be: the text says what was expected, what was given, and what to write instead."""


def _require(is_so: bool, name: str, expected: str, got: object) -> None:  # noqa: FBT001 - a condition
    if not is_so:
        raise FaultPlanError(f"{name}: expected {expected}, got {got!r}")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Fault:
    """Base of all faults, with the checks of the fields that several have."""

    kind: ClassVar[str] = ""

    def __repr__(self) -> str:
        shown = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)
            if getattr(self, field.name) != field.default or field.name == "operation"  # a reader wants to know it
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            FaultPlanError: A field has an impossible value.
        """
        for field in fields(self):
            value, name = getattr(self, field.name), f"{type(self).__name__}.{field.name}"
            if field.name in {"nth", "step"} and value is None and field.default is None:
                continue
            if field.name in {"nth", "behind", "step"}:
                _require(is_count(value), name, "a number from 1", value)
            elif field.name in {"at", "restart_after"} and value is None and self.kind != "step_clock":
                continue
            elif field.name in {"at", "restart_after", "seconds", "from_seconds"} and not (
                self.kind == "step_clock" and field.name == "seconds"
            ):
                _require(is_time(value), name, "seconds, 0 or more", value)
                is_near = is_time(value) and value <= MOST_SECONDS
                _require(is_near, name, f"at most {MOST_SECONDS:g} seconds, 30 years", value)
            elif field.name == "queue":
                _require(isinstance(value, str) and value.startswith("/"), name, "a name such as '/queue/parse'", value)
            elif field.name == "stage":
                _require(isinstance(value, str) and value.count("/") == 1, name, "'route/stage'", value)
            elif field.name in {"process", "life"} and (value is not None or field.type is int):
                _require(is_count(value) or (value == 0 and type(value) is int), name, "a number from 0", value)
            elif field.name == "done":
                _require(isinstance(value, bool), name, "true or false", value)
            elif field.name == "operation":
                _require(isinstance(value, str), name, "an operation's name", value)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Duplicate(Fault):
    """The queue stores the nth message that it accepts twice, and so hands it out twice."""

    kind: ClassVar[str] = "duplicate"
    queue: str
    nth: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Delay(Fault):
    """The queue hands the nth message that it accepts out only after so many seconds."""

    kind: ClassVar[str] = "delay"
    queue: str
    nth: int = 1
    seconds: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Reorder(Fault):
    """The queue puts the nth message that it accepts behind so many that come later; behind fewer, if no more come."""

    kind: ClassVar[str] = "reorder"
    queue: str
    nth: int = 1
    behind: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DropDelivery(Fault):
    """The nth delivery of the queue is lost on its way; it is handed out again when its lease has run out."""

    kind: ClassVar[str] = "drop_delivery"
    queue: str
    nth: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class LoseLease(Fault):
    """The nth delivery of the queue is taken from its consumer at once: it may be handed out to another one."""

    kind: ClassVar[str] = "lose_lease"
    queue: str
    nth: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FailQueue(Fault):
    """The nth call of an operation of the queue provider fails with `QueueError`.

    Attributes:
        operation: The operation; calls are counted over all queues and processes.
        nth: Number of the call.
        done: True if only the answer is lost: the operation has had its effect.
    """

    kind: ClassVar[str] = "fail_queue"
    operation: Literal["publish", "receive", "settle"] = "publish"
    nth: int = 1
    done: bool = False

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        _require(
            self.operation in {"publish", "receive", "settle"},
            "FailQueue.operation",
            "'publish', 'receive' or 'settle'",
            self.operation,
        )


STORAGE_OPERATIONS: Final = ("write", "read", "read_range", "stream", "metadata", "exists", "list", "delete")
"""Operations of an object store that can fail: methods of `StorageProtocol`."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FailStorage(Fault):
    """The nth call of an operation of the object store fails with `StorageError`; counted over all processes.

    Attributes:
        operation: The operation, a method of `StorageProtocol`.
        nth: Number of the call.
        done: True if only the answer is lost: the operation has had its effect.
    """

    kind: ClassVar[str] = "fail_storage"
    operation: str = "write"
    nth: int = 1
    done: bool = False

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        expected = f"one of {', '.join(STORAGE_OPERATIONS)}"
        _require(self.operation in STORAGE_OPERATIONS, "FailStorage.operation", expected, self.operation)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Ending(Fault):
    """Base of faults that end processes, at a time or at a step of one of their lives."""

    at: float | None = None
    step: int | None = None
    life: int = 0
    restart_after: float | None = 1.0

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        _require(
            (self.at is None) != (self.step is None),
            type(self).__name__,
            "either at= (seconds) or step= (a number from 1)",
            self,
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Crash(_Ending):
    """A process dies: none of its tasks is scheduled ever again, none is cancelled, no `finally` of it has an effect.

    Attributes:
        process: Its number; None for all processes at once.
        at: Time of the crash.
        step: Number of the step of the process's tasks, counted from its start, after which it dies.
        life: For `step`: number of the process's lives before the one that it ends; each process is in its life 0 until
            it is started again.
        restart_after: Seconds until it is started again; None: it is not.
    """

    kind: ClassVar[str] = "crash"
    process: int | None = 0


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CancelExecution(_Ending):
    """A process's execution is cancelled, as by the end of the scope that owns it; fields as those of `Crash`."""

    kind: ClassVar[str] = "cancel_execution"
    process: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PowerCut(_Ending):
    """All processes die, and with them what the files of the queue and the store had not made durable.

    Each sector that was written since the last sync is kept or lost, each for itself. Needs `queue="sqlite://"` or a
    store in files.
    """

    kind: ClassVar[str] = "power_cut"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class StepClock(Fault):
    """The wall clock of a process, or of all if None, is set by so many seconds, forwards or backwards."""

    kind: ClassVar[str] = "step_clock"
    at: float = 0.0
    seconds: float = 0.0
    process: int | None = None

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        _require(is_number(self.seconds), "StepClock.seconds", "a finite number of seconds", self.seconds)
        is_possible = -1e15 <= self.seconds <= MOST_SECONDS  # a clock stops at 1970
        _require(is_possible, "StepClock.seconds", f"-1e15 to {MOST_SECONDS:g} seconds", self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SkewClock(Fault):
    """The wall clock of a process, or of all if None, runs at this rate from the beginning: 1.01 is one percent fast."""

    kind: ClassVar[str] = "skew_clock"
    rate: float = 1.0
    process: int | None = None

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        _require(
            is_number(self.rate) and 0 < self.rate <= 100,
            "SkewClock.rate",
            "a rate above 0, at most 100",
            self.rate,
        )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SlowStage(Fault):
    """Calls of a stage take longer: those that begin within a time, or the nth one.

    Attributes:
        stage: The stage.
        from_seconds: Beginning of the time.
        seconds: Duration of the time.
        extra_seconds: Seconds that each call takes longer.
        nth: Number of the one call that takes longer, instead of those of a time.
    """

    kind: ClassVar[str] = "slow_stage"
    stage: str
    from_seconds: float = 0.0
    seconds: float = 1.0
    extra_seconds: float = 1.0
    nth: int | None = None

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        _require(is_time(self.extra_seconds), "SlowStage.extra_seconds", "seconds, 0 or more", self.extra_seconds)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class StickStage(Fault):
    """The nth call of a stage does not return until it is cancelled, as by a time limit."""

    kind: ClassVar[str] = "stick_stage"
    stage: str
    nth: int = 1


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FailStage(Fault):
    """The nth call of a stage raises `SimulatedFailureError`, after its adapter has done its work if `done`."""

    kind: ClassVar[str] = "fail_stage"
    stage: str
    nth: int = 1
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FaultRates(Fault):
    """Faults drawn from the seed: each rate is the probability of a fault at each message, delivery or call.

    Attributes:
        until: Time after which no fault is drawn (liveness: then everything must end); None: faults never stop (safety:
            nothing may be lost, but nothing need end).
        duplicate: Of a message that a queue accepts; likewise `delay` and `reorder`.
        drop_delivery: Of a delivery; likewise `lose_lease`.
        fail_queue: Of a call of the queue provider; likewise `fail_storage` of the object store, and `fail_stage` of a
            call of a stage. Half of them happen after the call has had its effect.
        slow_stage: Of a call of a stage; likewise `stick_stage`. One of the three happens: failing comes first, then being
            stuck, where they are more than 1 together.
        crash_seconds: Mean seconds between crashes of a process; 0: none.
        cancel_seconds: Mean seconds between cancellations of an execution; 0: none.
    """

    kind: ClassVar[str] = "rates"
    until: float | None = None
    duplicate: float = 0.0
    delay: float = 0.0
    reorder: float = 0.0
    drop_delivery: float = 0.0
    lose_lease: float = 0.0
    fail_queue: float = 0.0
    fail_storage: float = 0.0
    fail_stage: float = 0.0
    slow_stage: float = 0.0
    stick_stage: float = 0.0
    crash_seconds: float = 0.0
    cancel_seconds: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, name = getattr(self, field.name), f"FaultRates.{field.name}"
            if field.name == "until":
                _require(value is None or is_time(value), name, "seconds, or None for no end", value)
            elif field.name.endswith("_seconds"):
                _require(is_time(value), name, "seconds, 0 or more", value)
            else:
                _require(is_time(value) and value <= 1, name, "a probability, 0 to 1", value)


KINDS: Final[Mapping[str, type[Fault]]] = {
    fault.kind: fault
    for fault in (
        Duplicate, Delay, Reorder, DropDelivery, LoseLease, FailQueue, FailStorage, Crash, CancelExecution, PowerCut,
        StepClock, SkewClock, SlowStage, StickStage, FailStage, FaultRates,
    )
}  # fmt: skip
"""Classes of faults by the name that a plan's text gives them."""


def plan_text(faults: Sequence[Fault]) -> str:
    """Return a plan as one line of JSON: a list of objects, each with its kind and the fields that differ from defaults.

    Raises:
        FaultPlanError: It is no list of faults.
    """
    given: Any = faults
    are_faults = isinstance(given, (list, tuple)) and all(isinstance(fault, Fault) for fault in given)
    _require(are_faults, "a plan of faults", "a list of faults, such as [Crash(at=1)]", faults)
    return json.dumps([_mapping_of(fault) for fault in faults])


def _mapping_of(fault: Fault) -> dict[str, Any]:
    defaults = {field.name: field.default for field in fields(fault)}
    changed = {name: value for name, value in asdict(fault).items() if value != defaults[name]}
    return {"fault": fault.kind, **changed}


def read_plan(text: str) -> tuple[Fault, ...]:
    """Return the plan that `plan_text` wrote.

    Raises:
        FaultPlanError: It is not one; the text says where.
    """
    _require(isinstance(text, str), "a plan of faults", "the text of one", text)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FaultPlanError(f"a plan of faults: expected JSON, got {text[:80]!r}: {error}") from None
    if not isinstance(found, list):
        raise FaultPlanError(f"a plan of faults: expected a list, got {text[:80]!r}")
    return tuple(_fault_of(place, each) for place, each in enumerate(found, 1))


def _fault_of(place: int, found: object) -> Fault:
    named = found.get("fault") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(named, str) or named not in KINDS:
        raise FaultPlanError(
            f"fault {place}: expected an object whose 'fault' is one of {', '.join(KINDS)}, got {str(found)[:80]}"
        )
    kind = KINDS[named]
    given = {str(name): value for name, value in found.items() if name != "fault"}
    known = {field.name: field.default for field in fields(kind)}
    for name in given:
        _require(name in known, f"fault {place}, {kind.kind}", f"one of {', '.join(known)}", name)
    missing = [name for name, default in known.items() if default is MISSING and name not in given]
    _require(not missing, f"fault {place}, {kind.kind}", f"a value for {', '.join(missing)}", given)
    try:
        return kind(**given)
    except FaultPlanError as error:
        raise FaultPlanError(f"fault {place}: {error}") from None
