"""Errors of the store of configurations and executions.

Kept separate from `records` so that a caller that only handles them imports no store.
"""

from collections.abc import Sequence
from typing import Final

from factflow_protocols import FactflowError, without_password

_MOST_NAMED: Final = 5


class ExecutionStoreError(FactflowError):
    """Unusable store of executions; the operator must act.

    Attributes:
        store: Path or URL of the store, without a password.
    """

    def __init__(self, store: str, problem: str) -> None:
        self.store = without_password(store) if "://" in store else store
        super().__init__(f"execution store {self.store!r}: {problem}")


class ExecutionStoreUrlError(ExecutionStoreError, ValueError):
    """Whoever wrote the URL of the store must change it."""

    def __init__(self, url: str, problem: str) -> None:
        super().__init__(without_password(url), problem)


class UnknownRecordError(FactflowError, LookupError):
    """Configuration or execution that is not in the store, or not named unambiguously.

    Attributes:
        kind: "configuration" or "execution".
        named: The name or id given.
        candidates: Ids that it may mean; empty if it means none.
    """

    def __init__(self, kind: str, named: str, candidates: Sequence[str] = (), *, hint: str = "") -> None:
        self.kind = kind
        self.named = named
        self.candidates = tuple(candidates)
        if self.candidates:
            shown = ", ".join(self.candidates[:_MOST_NAMED])
            more = ", ..." if len(self.candidates) > _MOST_NAMED else ""
            text = f"{named!r} may be any of {shown}{more}; write more of the id"
        else:
            text = f"there is no {kind} {named!r}" + (f"; {hint}" if hint else "")
        super().__init__(text)


class ConfigNameError(FactflowError, ValueError):
    """Name of a configuration that is taken or cannot be one; the caller must choose another."""


class StaleConfigError(FactflowError):
    """Edit of a configuration that somebody else has changed meanwhile: read it again, then edit.

    Attributes:
        name: Name of the configuration.
        expected: Version that the edit was made of.
        version: Present version.
    """

    def __init__(self, name: str, expected: int, version: int) -> None:
        self.name = name
        self.expected = expected
        self.version = version
        super().__init__(
            f"configuration {name!r} is at version {version} by now, and the edit was made of version {expected}; nothing "
            "was saved: read it again, and edit that"
        )


class ConfigInUseError(FactflowError):
    """Deletion of a configuration that is running.

    Attributes:
        name: Name of the configuration.
        executions: Ids of its running executions.
    """

    def __init__(self, name: str, executions: Sequence[str]) -> None:
        self.name = name
        self.executions = tuple(executions)
        shown = ", ".join(self.executions[:_MOST_NAMED])
        super().__init__(
            f"configuration {name!r} is running, as {shown}; wait for its end, cancel it, or delete it all the same by force: "
            "executions keep their own copy"
        )


class IdempotencyError(FactflowError, ValueError):
    """Idempotency key that began another configuration: the caller must choose another key.

    Attributes:
        key: The key.
        execution: Id of the execution that has it.
    """

    def __init__(self, key: str, execution: str) -> None:
        self.key = key
        self.execution = execution
        super().__init__(
            f"idempotency key {key!r} has begun execution {execution}, of another configuration; choose another key"
        )


class RecordValueError(FactflowError, ValueError):
    """Tag, metadata, key or name that the store does not take; the caller must change it."""
