"""Errors that the engine itself raises, grouped by who must act.

Errors of adapters and providers are in `factflow_protocols.errors`; configuration errors carry findings and are defined
with the loader's findings in `config`.
"""

import difflib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import ClassVar, Final

from factflow_engine.error_texts import describe
from factflow_engine.user_frames import innermost, user_frames
from factflow_protocols import FactflowError


class AdapterRegistrationError(FactflowError):
    """Unusable adapter class: its author must act.

    Attributes:
        problem: The expected value, and the one found.
        remedy: The line to write instead.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem}; {remedy}")


class AdapterNotFoundError(FactflowError, LookupError):
    """Adapter type that is not registered."""


class ConditionError(FactflowError, ValueError):
    """Invalid condition: its author must act.

    Attributes:
        code: Stable code of the finding, E4xx.
        path: Place in the condition, as keys and indices from its root: `("all_of", 1, "value")`.
        problem: The expected value, and the one given.
        remedy: What to write instead.
    """

    def __init__(self, code: str, path: tuple[str | int, ...], problem: str, remedy: str = "") -> None:
        self.code = code
        self.path = path
        self.problem = problem
        self.remedy = remedy
        where = ".".join(str(part) for part in path)
        super().__init__(f"{code}{f' at {where}' if where else ''}: {problem}" + (f"; {remedy}" if remedy else ""))


class ConditionErrors(FactflowError, ValueError):  # noqa: N818 - it is a group of errors, and says so
    """All problems of one condition, so that its author corrects it once.

    Attributes:
        findings: The problems, in the order in which the condition is written; at least one.
    """

    def __init__(self, findings: tuple[ConditionError, ...]) -> None:
        self.findings = findings
        count = f"{len(findings)} problems" if len(findings) > 1 else "a problem"
        listing = "\n".join(f"  - {finding}" for finding in findings)
        super().__init__(f"the condition has {count}:\n{listing}")


class ConditionOperatorError(FactflowError):
    """Failure of a condition operator on a message: its author must act, because it raised or did not answer.

    The message fails at the stage that has the condition. The operator's exception is chained.

    Attributes:
        operator: Name of the operator.
        field: The field's path, as written in the condition.
    """

    def __init__(self, operator: str, field: str, problem: str) -> None:
        self.operator = operator
        self.field = field
        super().__init__(f"condition operator {operator!r} on field {field!r} {problem}")


class UndecidedError(FactflowError):
    """Search for a message that found neither an example nor the proof that there is none.

    Text that says why: a pattern that is too large to be taken apart, say, or too many alternatives.
    """


class NativePanicError(FactflowError, RuntimeError):
    """Panic in the engine's Rust half, which should be impossible: the engine's maintainers must act.

    Only the operation has failed; please report it, with the place that was printed to standard error.

    Attributes:
        said: Text of the panic.
    """

    def __init__(self, said: str) -> None:
        self.said = said
        super().__init__(f"factflow-engine's Rust extension has a fault, please report it: {said}")


class CodecError(FactflowError, ValueError):
    """Value that cannot be encoded, or bytes that are not a value or a frame.

    Attributes:
        offset: Offset of the faulty byte; None when encoding.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        self.offset = offset
        super().__init__(message)


class TruncatedError(CodecError):
    """Bytes that end too early: more of them could make them valid."""


class CorruptError(CodecError):
    """Bytes that can never become valid, whatever follows."""


class TooManyConcurrentExecutionsError(FactflowError):
    """Too many executions: the operator must act, because the manager runs as many as it may.

    Attributes:
        limit: The manager's `max_concurrent_executions`.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"{limit} executions are running, which is the limit; wait for one to end, "
            "or raise OrchestratorManager(max_concurrent_executions=...)"
        )


class ProviderError(FactflowError):
    """Unusable provider: the operator must act. The cause is chained.

    Attributes:
        noun: The kind of provider.
        scheme: Scheme of its URLs.
        distribution: Name of the distribution that contains it.
    """

    noun: ClassVar[str] = "a"

    def __init__(self, scheme: str, distribution: str, problem: str) -> None:
        self.scheme = scheme
        self.distribution = distribution
        super().__init__(f"{self.noun} provider {scheme!r} of {distribution}: {problem}")


class QueueProviderError(ProviderError):
    """Unusable queue provider: the operator must act. The cause is chained."""

    noun = "queue"


class StorageProviderError(ProviderError):
    """Unusable provider of an object store: the operator must act. The cause is chained."""

    noun = "storage"


class LineageProviderError(ProviderError):
    """Unusable provider of a lineage store: the operator must act. The cause is chained."""

    noun = "lineage"


class ExecutionStartError(FactflowError):
    """Failed start of an execution, with nothing processed. The cause is chained.

    Attributes:
        route: Id of the route.
        stage: Name of the stage that could not open.
        place: File and line of the innermost frame of the cause that is the user's; empty if there is none.
    """

    def __init__(self, route: str, stage: str, cause: BaseException) -> None:
        self.route = route
        self.stage = stage
        frame = innermost(user_frames(cause))
        self.place = "" if frame is None else f"{frame.file}:{frame.line}"
        where = f" ({self.place})" if self.place else ""
        super().__init__(f"route {route!r}, stage {stage!r} could not be opened: {describe(cause)}{where}")


class StageStorageError(FactflowError):
    """Message that cannot be stored as its stage's configuration says, or object that no message can be read from.

    A failure of the attempt like any other. The pipeline's author must act.

    Attributes:
        message_id: Id of the message.
        field: Name of the metadata field, or `content_field`; empty if no field is to blame.
        source: Path of the message field that it is read from; empty if no field is to blame.
        problem: What is wrong.
    """

    def __init__(self, message_id: str, problem: str, *, field: str = "", source: str = "") -> None:
        self.message_id = message_id
        self.field = field
        self.source = source
        self.problem = problem
        what = "the content" if field == "content_field" else f"metadata field {field!r}"
        where = f": {what} is read from {source!r}: {problem}" if field else f": {problem}"
        super().__init__(f"message {message_id} cannot be stored{where}")


class NoStorageError(FactflowError):
    """Execution that stores objects, and has no object store: whoever starts it must act.

    Attributes:
        stages: The stages that need one, each as `route/stage: why`.
    """

    def __init__(self, stages: tuple[str, ...]) -> None:
        self.stages = stages
        listing = "\n".join(f"  - {stage}" for stage in stages)
        super().__init__(
            "there is no object store: write `storage: {url: 'file:///DIRECTORY'}` in the configuration, or give "
            f"OrchestratorManager(storage=...) one; it is needed by:\n{listing}"
        )


class NoLineageError(FactflowError):
    """Execution that records lineage, and has no store for it: whoever starts it must act."""

    def __init__(self) -> None:
        super().__init__(
            "the configuration has `lineage:`, and there is no store for it: write its `url`, such as sqlite:///lineage, "
            "give OrchestratorManager(lineage=...) a store, or write `lineage: {mode: off}`"
        )


class StateLossError(FactflowError):
    """Configuration with stages that would lose their state, although the queue acknowledges its messages for good.

    Attributes:
        stages: The stages, each as `route/stage: what is wrong`.
    """

    def __init__(self, stages: tuple[str, ...], remedy: str) -> None:
        self.stages = stages
        listing = "\n".join(f"  - {stage}" for stage in stages)
        super().__init__(f"a crash would lose what stages keep; {remedy}:\n{listing}")


class UnknownRouteError(FactflowError, LookupError):
    """Route that the pipeline does not have: the caller must act.

    Attributes:
        route: The id given.
        known: The ids of the pipeline's routes.
    """

    def __init__(self, route: str, known: Iterable[str]) -> None:
        self.route = route
        self.known = tuple(known)
        near = difflib.get_close_matches(route, self.known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(repr(name) for name in self.known)}"
        super().__init__(f"this pipeline has no route {route!r}; {hint}")


class ExecutionIdError(FactflowError, ValueError):
    """Unusable execution id: the caller must choose another, because it is malformed or its execution is running."""


class ManagerStateError(FactflowError, RuntimeError):
    """Misuse of a manager: enter it, once, and start executions before it is left."""


class CallFromInsideError(FactflowError, RuntimeError):
    """Call from inside an execution that would wait for its own end: the author of the adapter must act.

    Attributes:
        execution_id: Id of the execution.
        call: Name of the method.
    """

    def __init__(self, execution_id: str, call: str, instead: str) -> None:
        self.execution_id = execution_id
        self.call = call
        super().__init__(
            f"{call}() was called by an adapter of execution {execution_id!r}, which would wait for itself; "
            f"{instead}, which does not wait, or call {call}() from a task outside the execution"
        )


class NotInTrioError(FactflowError, RuntimeError):
    """Thread that does not run trio, which the engine needs: the caller must act.

    Attributes:
        call: Name of the method.
    """

    def __init__(self, call: str) -> None:
        self.call = call
        super().__init__(
            f"{call} needs trio, which this thread does not run: start the program with trio.run(main), in an asyncio "
            "program run it beside the loop with `await asyncio.to_thread(trio.run, main)`, and from another thread "
            "call in through trio.from_thread"
        )


class ClosedReason(StrEnum):
    """Reason why an execution takes no more messages: three requests of its owner, and a fault."""

    COMPLETED = "completed"
    """`complete`, or the end of the manager's block, let it end, and no work was left."""
    DRAINING = "draining"
    """`drain` was called."""
    CANCELLED = "cancelled"
    """`cancel` was called, a drain's budget was spent, or the manager was left by an exception or a cancellation."""
    FAILED = "failed"
    """A fault of the execution; nobody closed it."""


_CLOSED: Final[Mapping[ClosedReason, str]] = {
    ClosedReason.COMPLETED: (
        "is completed and takes no more messages: its end was asked for, and nothing was left to do; start another "
        "execution. To watch one without ending it, await wait_ended() rather than complete()"
    ),
    ClosedReason.DRAINING: "is draining and takes no more messages: drain() was called; start another execution",
    ClosedReason.CANCELLED: (
        "is cancelled and takes no more messages: cancel() was called, a drain's budget was spent, or its manager was "
        "left; start another execution"
    ),
    ClosedReason.FAILED: "has failed and takes no more messages; it broke, nobody has closed it",
}


class ExecutionClosedError(FactflowError):
    """Closed execution: it takes no more messages, and the caller must start another one.

    Attributes:
        execution_id: Id of the execution.
        status: Its `ExecutionStatus` at that time; "running" while it drains.
        reason: Reason of the closure; `ClosedReason.FAILED` if it broke, any other if it was closed on request.
        error: The failure; None if it was closed on request.
    """

    def __init__(self, execution_id: str, status: str, reason: ClosedReason, error: str | None = None) -> None:
        self.execution_id = execution_id
        self.status = status
        self.reason = reason
        self.error = error
        super().__init__(f"execution {execution_id!r} {_CLOSED[reason]}" + ("" if error is None else f": {error}"))


class CircuitTransitionError(FactflowError, ValueError):
    """Forbidden change of a circuit breaker's state: the operator must act. The breaker is unchanged.

    Attributes:
        name: Name of the breaker's dependency.
        from_state: Its present state.
        to_state: The state asked for.
    """

    def __init__(self, name: str, from_state: str, to_state: str) -> None:
        self.name = name
        self.from_state = from_state
        self.to_state = to_state
        super().__init__(
            f"circuit {name!r} is {from_state} and cannot be moved to {to_state}; move it to disabled first, "
            "from where every move is allowed"
        )
