"""Records of the store, as frozen values: configurations with their versions, and executions.

Kept separate from the protocol because commands and reports use the values alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from factflow_engine.executions.errors import RecordValueError
from factflow_engine.runtime.report import ExecutionStatus

LONGEST_NAME: Final = 128
"""Characters of a configuration's name, or of a tag."""

LONGEST_KEY: Final = 255
"""Characters of an idempotency key."""

MOST_METADATA: Final = 64 * 1024
"""Bytes of an execution's metadata as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredConfig:
    """One version of a configuration.

    Attributes:
        id: 32 hexadecimal digits, the same for all versions.
        name: Name that is unique in the store.
        version: Number of this version, from 1.
        latest: Number of the latest version.
        hash: Hash of the canonical form when it was saved; None if none could be built.
        text: The text as written, with `${NAME}` references and never their values.
        directory: Folder that its relative paths start from.
        file: Name of the file that it was read from; empty if none.
        active: False if it must not be run.
        errors: Number of its errors when it was saved.
        created_ns: Wall time of the first version.
        saved_ns: Wall time of this version.
    """

    id: str
    name: str
    version: int
    latest: int
    hash: str | None
    text: str
    directory: str
    file: str
    active: bool
    errors: int
    created_ns: int
    saved_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDraft:
    """A version of a configuration to be saved; see `StoredConfig`."""

    name: str
    text: str
    hash: str | None
    directory: str
    file: str = ""
    errors: int = 0
    saved_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionSummary:
    """One run of a configuration, without its large parts.

    Attributes:
        id: Id of the record; unique.
        scope: Id that its queues, objects and lineage rows have: `id`, unless the run was given one that others may have,
        too, such as the runs of one name on a durable queue.
        name: The pipeline's name.
        status: `running`, or one of the four final states. `interrupted`: its lease has run out.
        config_id: Stored configuration that it runs; None if it was started from a file.
        config_version: Version of it.
        config_hash: Hash of the snapshot.
        tag: Label for people and scripts; empty if none.
        metadata: Values that the caller gave; JSON can hold them.
        parent: Id of the execution that it replays, forks or recovers; None if none.
        replay_source: Origin of its messages then: `storage`, `queue` or `manual`.
        idempotency_key: Key that the caller gave; None if none.
        queue: URL of the queue that its messages lie in, without secrets; None for queues in memory, or if unknown.
        recovered_by: Id of the latest execution that goes on with this one; None if none does.
        started_ns: Wall time of its start.
        ended_ns: Wall time of its end, or of the last renewal if it is interrupted; None while it runs.
        seen_ns: Wall time of its last renewal.
        host: Name of the machine.
        pid: Process id there; for people, nothing is decided by it.
        cancel_requested: True if somebody asked for its cancellation.
        error: Reason why it failed or was cancelled.
    """

    id: str
    scope: str
    name: str
    status: ExecutionStatus
    config_id: str | None
    config_version: int | None
    config_hash: str
    tag: str
    metadata: Mapping[str, Any]
    parent: str | None
    replay_source: str | None
    idempotency_key: str | None
    queue: str | None
    recovered_by: str | None
    started_ns: int
    ended_ns: int | None
    seen_ns: int
    host: str
    pid: int
    cancel_requested: bool
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredExecution(ExecutionSummary):
    """One run of a configuration.

    Attributes:
        snapshot: Canonical YAML of what it runs, with `${NAME}` references.
        directory: Folder that relative paths in it start from.
        statistics: Latest statistics that it stored while it ran; None before the first.
        report: Its report; None before its end, and of an interrupted one.
        limits: What its adaptive limits had learnt, by name; for a warm start.
    """

    snapshot: str
    directory: str
    statistics: Mapping[str, Any] | None
    report: Mapping[str, Any] | None
    limits: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionDraft:
    """An execution to be begun; see `StoredExecution`."""

    id: str
    scope: str
    name: str
    snapshot: str
    directory: str
    config_hash: str
    started_ns: int
    host: str
    pid: int
    config_id: str | None = None
    config_version: int | None = None
    tag: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    parent: str | None = None
    replay_source: str | None = None
    idempotency_key: str | None = None
    queue: str | None = None

    def __post_init__(self) -> None:
        check_label("tag", self.tag, LONGEST_NAME, may_be_empty=True)
        check_metadata(self.metadata)
        if self.idempotency_key is not None:
            check_label("idempotency key", self.idempotency_key, LONGEST_KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionFilter:
    """Choice of executions; None takes all.

    Attributes:
        status: Only those in this state.
        config_id: Only those of this stored configuration.
        tag: Only those with this tag.
        parent: Only those that replay, fork or recover this one.
        scope: Only those with this scope.
        name: Only those of pipelines of this name.
        limit: Most records.
        before: Id of a record: only those that are listed after it; for the next page.
    """

    status: ExecutionStatus | None = None
    config_id: str | None = None
    tag: str | None = None
    parent: str | None = None
    scope: str | None = None
    name: str | None = None
    limit: int = 100
    before: str | None = None


class Renewal(NamedTuple):
    """Result of renewing a lease.

    Attributes:
        cancel_seconds: Seconds of grace, if somebody asked for the cancellation of the execution; else None.
        lapsed: True if the lease had run out before, so that readers took the execution for interrupted.
    """

    cancel_seconds: float | None
    lapsed: bool


class Begin(NamedTuple):
    """Result of beginning an execution.

    Attributes:
        id: Id of the execution.
        is_new: False if an execution with the same idempotency key was there: `id` is its id.
    """

    id: str
    is_new: bool


def check_label(what: str, text: str, longest: int, *, may_be_empty: bool = False) -> None:
    """Refuse a text that no record should have as a name.

    Raises:
        RecordValueError: It is empty, too long, or has characters that cannot be printed.
    """
    if not text and may_be_empty:
        return
    if not text.strip() or len(text) > longest or not text.isprintable():
        raise RecordValueError(f"a {what} has 1 to {longest} printable characters, got {text[:60]!r}")


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Refuse metadata that JSON cannot hold, or that is larger than a record should be.

    Raises:
        RecordValueError: It is.
    """
    try:
        text = json.dumps(dict(metadata), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise RecordValueError(f"metadata must be values that JSON can hold: {error}") from error
    if any(not isinstance(key, str) for key in metadata):
        raise RecordValueError(f"metadata must have names for keys, got {next(iter(metadata))!r}")
    if len(text) > MOST_METADATA:
        raise RecordValueError(
            f"metadata may have {MOST_METADATA:,} bytes as JSON, got {len(text):,}; store it elsewhere"
        )
