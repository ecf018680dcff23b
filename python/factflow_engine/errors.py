"""Errors that the engine itself raises, by who must act on them.

What adapters and providers raise is in `factflow_protocols.errors`; configuration errors carry findings and live with
the loader's findings in `config`.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Final

from factflow_protocols import FactflowError


class AdapterRegistrationError(FactflowError):
    """The author of an adapter must act: the class cannot be registered as it is."""


class AdapterNotFoundError(FactflowError, LookupError):
    """No adapter of this type is registered."""


class ConditionError(FactflowError, ValueError):
    """The author of a condition must act: it cannot be compiled.

    Attributes:
        code: Stable code of the finding, E4xx.
        path: Where in the condition, as keys and indices from its root: `("all_of", 1, "value")`.
        problem: What was expected, and what was given.
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
    """Every problem of one condition, so that its author corrects it once.

    Attributes:
        findings: Each problem, in the order in which the condition is written; at least one.
    """

    def __init__(self, findings: tuple[ConditionError, ...]) -> None:
        self.findings = findings
        count = f"{len(findings)} problems" if len(findings) > 1 else "a problem"
        listing = "\n".join(f"  - {finding}" for finding in findings)
        super().__init__(f"the condition has {count}:\n{listing}")


class ConditionOperatorError(FactflowError):
    """The author of a condition operator must act: it raised, or did not answer, on a message.

    The message fails at the stage whose condition was asked. The operator's exception is chained.

    Attributes:
        operator: Name of the operator.
        field: The field's path, as the condition has it.
    """

    def __init__(self, operator: str, field: str, problem: str) -> None:
        self.operator = operator
        self.field = field
        super().__init__(f"condition operator {operator!r} on field {field!r} {problem}")


class NativePanicError(FactflowError, RuntimeError):
    """The engine's maintainers must act: its Rust half reached a point that should be impossible.

    What was asked for has failed, and nothing else; please report it, with the place that was printed to standard error.

    Attributes:
        said: What the panic said.
    """

    def __init__(self, said: str) -> None:
        self.said = said
        super().__init__(f"factflow-engine's Rust extension has a fault, please report it: {said}")


class CodecError(FactflowError, ValueError):
    """A value cannot be encoded, or bytes are not a value, or not a frame.

    Attributes:
        offset: Byte at which it went wrong; None when encoding.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        self.offset = offset
        super().__init__(message)


class TruncatedError(CodecError):
    """The bytes end too early: more of them could make it valid."""


class CorruptError(CodecError):
    """The bytes can never become valid, whatever follows."""


class TooManyConcurrentExecutionsError(FactflowError):
    """The operator must act: the manager already runs as many executions as it may.

    Attributes:
        limit: The manager's `max_concurrent_executions`.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(
            f"{limit} executions are running, which is the limit; wait for one to end, "
            "or raise OrchestratorManager(max_concurrent_executions=...)"
        )


class UnsupportedFeatureError(FactflowError):
    """A configuration asks for something that this version of the engine accepts but cannot run.

    Attributes:
        features: What is asked for, each as `path: what to change`.
    """

    def __init__(self, features: tuple[str, ...]) -> None:
        self.features = features
        listing = "\n".join(f"  - {feature}" for feature in features)
        super().__init__(f"this version cannot run the configuration as it is written:\n{listing}")


class QueueProviderError(FactflowError):
    """The operator must act: a queue provider that is installed cannot be used. What went wrong is chained.

    Attributes:
        scheme: Scheme of the URLs that it is asked for.
        distribution: Name of the distribution that it comes with.
    """

    def __init__(self, scheme: str, distribution: str, problem: str) -> None:
        self.scheme = scheme
        self.distribution = distribution
        super().__init__(f"queue provider {scheme!r} of {distribution}: {problem}")


class ExecutionStartError(FactflowError):
    """A route could not start; nothing was processed. The cause is chained.

    Attributes:
        route: Id of the route.
        stage: Name of the stage that could not be opened.
    """

    def __init__(self, route: str, stage: str, cause: BaseException) -> None:
        self.route = route
        self.stage = stage
        super().__init__(f"route {route!r}, stage {stage!r} could not be opened: {describe(cause)}")


class StateLossError(FactflowError):
    """Stages of a configuration would lose what they keep, though the queue acknowledges what it was made of.

    Attributes:
        stages: Each as `route/stage: what is wrong`.
    """

    def __init__(self, stages: tuple[str, ...], remedy: str) -> None:
        self.stages = stages
        listing = "\n".join(f"  - {stage}" for stage in stages)
        super().__init__(f"a crash would lose what stages keep; {remedy}:\n{listing}")


class UnknownRouteError(FactflowError, LookupError):
    """The caller must act: the pipeline has no such route.

    Attributes:
        route: The id that was given.
        known: The ids that there are.
    """

    def __init__(self, route: str, known: Iterable[str]) -> None:
        self.route = route
        self.known = tuple(known)
        near = difflib.get_close_matches(route, self.known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(repr(name) for name in self.known)}"
        super().__init__(f"this pipeline has no route {route!r}; {hint}")


class ExecutionIdError(FactflowError, ValueError):
    """The caller must choose another id: it cannot be one, or an execution of this id is running."""


class ManagerStateError(FactflowError, RuntimeError):
    """The caller must enter the manager, once, and start executions before it is left."""


class CallFromInsideError(FactflowError, RuntimeError):
    """The author of an adapter must act: it would wait for the end of its own execution.

    Attributes:
        execution_id: Id of the execution.
        call: Name of the method that was called.
    """

    def __init__(self, execution_id: str, call: str, instead: str) -> None:
        self.execution_id = execution_id
        self.call = call
        super().__init__(
            f"{call}() was called by an adapter of execution {execution_id!r}, which would wait for itself; "
            f"{instead}, which does not wait, or call {call}() from a task outside the execution"
        )


class NotInTrioError(FactflowError, RuntimeError):
    """The caller must act: this thread does not run trio, which the engine needs.

    Attributes:
        call: The call that was made.
    """

    def __init__(self, call: str) -> None:
        self.call = call
        super().__init__(
            f"{call} needs trio, which this thread does not run: start the program with trio.run(main), in an asyncio "
            "program run it beside the loop with `await asyncio.to_thread(trio.run, main)`, and from another thread "
            "call in through trio.from_thread"
        )


class ClosedReason(StrEnum):
    """Why an execution takes no more messages: the first three are requests of its owner, the last one is a fault."""

    COMPLETED = "completed"
    """`complete`, or the end of the manager's block, let it end, and nothing was left to do."""
    DRAINING = "draining"
    """`drain` was called."""
    CANCELLED = "cancelled"
    """`cancel` was called, a drain's budget was spent, or the manager was left by an exception or a cancellation."""
    FAILED = "failed"
    """It broke; nobody has closed it."""


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
    """The caller must start another execution: this one takes no more messages.

    Attributes:
        execution_id: Id of the execution.
        status: Its `ExecutionStatus` at that moment; "running" while it drains.
        reason: Why it is closed; `ClosedReason.FAILED` if it broke, any other if it was closed on request.
        error: What made it fail; None if it was closed on request.
    """

    def __init__(self, execution_id: str, status: str, reason: ClosedReason, error: str | None = None) -> None:
        self.execution_id = execution_id
        self.status = status
        self.reason = reason
        self.error = error
        super().__init__(f"execution {execution_id!r} {_CLOSED[reason]}" + ("" if error is None else f": {error}"))


class CircuitTransitionError(FactflowError, ValueError):
    """The operator must act: a circuit breaker was to be moved where it may not go. It is as it was.

    Attributes:
        name: What the breaker protects.
        from_state: Its state.
        to_state: Where it was to go.
    """

    def __init__(self, name: str, from_state: str, to_state: str) -> None:
        self.name = name
        self.from_state = from_state
        self.to_state = to_state
        super().__init__(
            f"circuit {name!r} is {from_state} and cannot be moved to {to_state}; move it to disabled first, "
            "from where every move is allowed"
        )


DESCRIBED_CHARACTERS: Final = 2000
"""How much of an error's text is kept."""

CUT: Final = "…"
"""Stands at the end of a text of which no more is kept."""


def sole_cause(error: Exception) -> Exception:
    """Return the one exception that a nursery wrapped; the error itself if it holds several, or none."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """Yield the exceptions in a group and in the groups within, without recursion: groups may be nested deeply."""
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop()
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
        else:
            yield error


def error_text(error: BaseException) -> str:
    """Return an error's text, bounded, whatever its author made of `__str__`; of a group, what it holds too.

    It can be encoded: a lone surrogate, which the text of a file name may have, is written as its escape.
    """
    text = _text(error)
    # Leaf by leaf without recursion, for groups may be nested deeply; and no more of them than can be shown.
    waiting = list(reversed(error.exceptions)) if isinstance(error, BaseExceptionGroup) else []
    between = ": "
    while waiting and len(text) < DESCRIBED_CHARACTERS:
        leaf = waiting.pop()
        if isinstance(leaf, BaseExceptionGroup):
            waiting.extend(reversed(leaf.exceptions))
        else:
            text += f"{between}{type(leaf).__name__}: {_text(leaf)}"
            between = "; "
    # Cut first, for the text may be as large as a message; and again, for escapes are longer than what they stand for.
    return bounded(bounded(text, DESCRIBED_CHARACTERS).encode(errors="backslashreplace").decode(), DESCRIBED_CHARACTERS)


def bounded(text: str, most: int) -> str:
    """Return the text, or its beginning and the mark of a cut; at most so many characters."""
    return text if len(text) <= most else text[: most - len(CUT)] + CUT


def describe(error: BaseException) -> str:
    """Return an error's class and text, for one line of a report; of one that a nursery wrapped alone, its own."""
    if isinstance(error, Exception):
        error = sole_cause(error)
    return f"{type(error).__name__}: {error_text(error)}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 - an error that cannot be printed must not take its message along
        return f"<its text cannot be had: {type(failure).__name__}>"
