"""Statements about executions, and the rule by which one is alive.

An execution is alive if its status is `running` and its lease is of the present run of the store's clock and has not
ended. Process ids and wall times are for people: a process id may be another process's by now, and wall time may step. A
lease is renewed by the process that runs the execution alone, so one that has ended says that this process has not
reached the store since: it has died, it is stopped, or the store was out of its reach. If it lives after all, its next
renewal takes the record back to `running`, and the end that it stores replaces `interrupted`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from factflow_engine.executions.database import Instant, Session
from factflow_engine.executions.errors import IdempotencyError, UnknownRecordError
from factflow_engine.executions.records import (
    Begin,
    ExecutionDraft,
    ExecutionFilter,
    ExecutionSummary,
    Renewal,
    StoredExecution,
)
from factflow_engine.runtime.report import ExecutionStatus

ALIVE: Final = "(status = 'running' AND lease_epoch = ? AND lease_ns > ?)"
"""Condition with the present instant for parameters."""

_STATUS: Final = f"CASE WHEN status = 'running' AND NOT {ALIVE} THEN 'interrupted' ELSE status END"
_RECOVERED_BY: Final = (
    "(SELECT later.id FROM execution AS later WHERE later.parent = execution.id AND later.scope = execution.scope "
    "ORDER BY later.started_ns DESC, later.id DESC LIMIT 1)"
)
_SUMMARY: Final = (
    f"id, scope, name, {_STATUS}, config_id, config_version, config_hash, tag, metadata, parent, replay_source, "
    f"idempotency_key, queue, {_RECOVERED_BY} AS recovered_by, started_ns, ended_ns, seen_ns, host, pid, cancel_seconds, error"
)
_WHOLE: Final = f"{_SUMMARY}, snapshot, directory, statistics, report, limits"

MOST_CANDIDATES: Final = 20
MOST_LISTED: Final = 10_000
LATEST: Final = "latest"
"""Name of the latest execution."""


def store_interruptions(session: Session) -> None:
    """Store that executions whose leases have run out are interrupted."""
    session.change(
        f"UPDATE execution SET status = 'interrupted', ended_ns = seen_ns WHERE status = 'running' AND NOT {ALIVE}",  # noqa: S608 - a constant
        session.now,
    )


def begin(session: Session, draft: ExecutionDraft, *, lease_seconds: float) -> Begin:
    """See `ExecutionStore`. A repetition, which only an answer that got lost can lead to, finds the draft's own record."""
    if session.rows("SELECT 1 FROM execution WHERE id = ?", [draft.id]):
        return Begin(draft.id, is_new=True)
    if draft.idempotency_key is not None:
        rows = session.rows("SELECT id, config_hash FROM execution WHERE idempotency_key = ?", [draft.idempotency_key])
        if rows and rows[0][1] != draft.config_hash:
            raise IdempotencyError(draft.idempotency_key, rows[0][0])
        if rows:
            return Begin(rows[0][0], is_new=False)
    session.change(
        "INSERT INTO execution(id, scope, name, status, config_id, config_version, config_hash, tag, metadata, parent, "
        "replay_source, idempotency_key, queue, started_ns, seen_ns, host, pid, lease_epoch, lease_ns, snapshot, directory) "
        "VALUES (?, ?, ?, 'running', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            draft.id,
            draft.scope,
            draft.name,
            draft.config_id,
            draft.config_version,
            draft.config_hash,
            draft.tag,
            _json(draft.metadata),
            draft.parent,
            draft.replay_source,
            draft.idempotency_key,
            draft.queue,
            draft.started_ns,
            draft.started_ns,
            draft.host,
            draft.pid,
            *_lease(session.now, lease_seconds),
            draft.snapshot,
            draft.directory,
        ],
    )
    return Begin(draft.id, is_new=True)


def renew(
    session: Session, execution_id: str, *, lease_seconds: float, statistics: Mapping[str, Any] | None, seen_ns: int
) -> Renewal:
    """See `ExecutionStore`."""
    rows = session.rows(
        f"SELECT cancel_seconds, {ALIVE} FROM execution WHERE id = ? "  # noqa: S608 - a constant
        "AND (status IN ('running', 'interrupted') OR (status = 'cancelled' AND is_presumed = 1))",
        [*session.now, execution_id],
    )
    if not rows:
        raise UnknownRecordError("running execution", execution_id)
    session.change(
        "UPDATE execution SET status = 'running', is_presumed = 0, ended_ns = NULL, seen_ns = ?, lease_epoch = ?, lease_ns = ?, "
        "statistics = coalesce(?, statistics) WHERE id = ?",
        [seen_ns, *_lease(session.now, lease_seconds), _json_or_none(statistics), execution_id],
    )
    [(cancel_seconds, alive)] = rows
    return Renewal(cancel_seconds, lapsed=not alive)


def finish(
    session: Session,
    execution_id: str,
    status: ExecutionStatus,
    *,
    ended_ns: int,
    error: str | None,
    report: Mapping[str, Any] | None,
    limits: Mapping[str, Any] | None,
) -> None:
    """See `ExecutionStore`."""
    changed = session.change(
        "UPDATE execution SET status = ?, is_presumed = 0, ended_ns = ?, seen_ns = ?, error = ?, report = ?, limits = ? WHERE id = ?",
        [str(status), ended_ns, ended_ns, error, _json_or_none(report), _json_or_none(limits or None), execution_id],
    )
    if not changed:
        raise UnknownRecordError("execution", execution_id)


def request_cancel(session: Session, execution_id: str, *, grace_seconds: float) -> ExecutionSummary:
    """See `ExecutionStore`."""
    store_interruptions(session)
    session.change(
        "UPDATE execution SET cancel_seconds = ? WHERE id = ? AND status IN ('running', 'interrupted') "
        "AND (cancel_seconds IS NULL OR cancel_seconds > ?)",
        [grace_seconds, execution_id, grace_seconds],
    )
    session.change(
        "UPDATE execution SET status = 'cancelled', is_presumed = 1, error = 'cancelled after it was interrupted' "
        "WHERE id = ? AND status = 'interrupted'",
        [execution_id],
    )
    return status(session, execution_id)


def status(session: Session, execution_id: str) -> ExecutionSummary:
    """See `ExecutionStore`."""
    rows = session.rows(f"SELECT {_SUMMARY} FROM execution WHERE id = ?", [*session.now, execution_id])  # noqa: S608 - constants
    if not rows:
        raise UnknownRecordError("execution", execution_id)
    return ExecutionSummary(**_summary(rows[0]))


def execution(session: Session, named: str) -> StoredExecution:
    """See `ExecutionStore`."""
    rows = session.rows(
        f"SELECT {_WHOLE} FROM execution WHERE id = ?",  # noqa: S608 - constants
        [*session.now, _found(session, named)],
    )
    if not rows:
        raise ValueError(f"an index names an execution that is not there, for {named!r:.60}")
    *summary, snapshot, directory, statistics, report, limits = rows[0]
    return StoredExecution(
        **_summary(summary),
        snapshot=snapshot,
        directory=directory,
        statistics=_read_or_none(statistics),
        report=_read_or_none(report),
        limits=_read_or_none(limits) or {},
    )


def executions(session: Session, chosen: ExecutionFilter) -> Sequence[ExecutionSummary]:
    """See `ExecutionStore`."""
    conditions: list[str] = []
    parameters: list[Any] = [*session.now]
    for column, value in (
        ("config_id", chosen.config_id),
        ("tag", chosen.tag),
        ("parent", chosen.parent),
        ("scope", chosen.scope),
        ("name", chosen.name),
    ):
        if value is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    if chosen.status is not None:
        conditions.append(f"{_STATUS} = ?")
        parameters += [*session.now, str(chosen.status)]
    if chosen.before is not None:
        rows = session.rows("SELECT started_ns, id FROM execution WHERE id = ?", [chosen.before])
        if not rows:
            raise UnknownRecordError("execution", chosen.before)
        conditions.append("(started_ns < ? OR (started_ns = ? AND id < ?))")
        parameters += [rows[0][0], *rows[0]]
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    found = session.rows(
        f"SELECT {_SUMMARY} FROM execution {where} ORDER BY started_ns DESC, id DESC LIMIT ?",  # noqa: S608 - constants
        [*parameters, max(0, min(chosen.limit, MOST_LISTED))],
    )
    return [ExecutionSummary(**_summary(row)) for row in found]


def learnt_limits(session: Session, name: str, config_id: str | None) -> Mapping[str, Any]:
    """See `ExecutionStore`."""
    column, value = ("name", name) if config_id is None else ("config_id", config_id)
    rows = session.rows(
        f"SELECT limits FROM execution WHERE {column} = ? AND limits IS NOT NULL "  # noqa: S608 - constants
        "ORDER BY started_ns DESC, id DESC LIMIT 1",
        [value],
    )
    return _read(rows[0][0]) if rows else {}


def _found(session: Session, named: str) -> str:
    """Return the id of the execution that this names."""
    if session.rows("SELECT id FROM execution WHERE id = ?", [named]):
        return named
    latest_first = "ORDER BY started_ns DESC, id DESC LIMIT ?"
    rows: list[tuple[Any, ...]] = []
    if named == LATEST:
        rows = session.rows(f"SELECT id FROM execution {latest_first}", [1])  # noqa: S608 - a constant
    for column in ("scope", "tag"):
        if not rows and named:
            rows = session.rows(
                f"SELECT id FROM execution WHERE {column} = ? {latest_first}",  # noqa: S608 - constants
                [named, 1],
            )
    if not rows and named:
        rows = session.rows(
            f"SELECT id FROM execution WHERE substr(id, 1, ?) = ? {latest_first}",  # noqa: S608 - a constant
            [len(named), named, MOST_CANDIDATES],
        )
    if len(rows) == 1:
        return str(rows[0][0])
    raise UnknownRecordError(
        "execution", named, [row[0] for row in rows], hint="`factflow execution list` names the latest"
    )


def _lease(now: Instant, seconds: float) -> tuple[str, int]:
    return now.epoch, now.ns + int(seconds * 1e9)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value), ensure_ascii=True, separators=(",", ":"))


def _json_or_none(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else _json(value)


def _read(text: Any) -> dict[str, Any]:
    """Return what `_json` has stored.

    Raises:
        ValueError: It is something else: the row is damaged.
    """
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"expected JSON, got {text!r:.60}") from error
    if not isinstance(found, dict):
        raise ValueError(f"expected an object of JSON, got {text!r:.60}")  # noqa: TRY004 - of the file, not of a caller
    return found


def _read_or_none(text: Any) -> dict[str, Any] | None:
    return None if text is None else _read(text)


_TYPES: Final = {
    "id": str, "scope": str, "name": str, "status": str, "config_id": str | None, "config_version": int | None,
    "config_hash": str, "tag": str, "metadata": str, "parent": str | None, "replay_source": str | None,
    "idempotency_key": str | None, "queue": str | None, "recovered_by": str | None, "started_ns": int, "ended_ns": int | None, "seen_ns": int, "host": str, "pid": int,
    "cancel_requested": float | None, "error": str | None,
}  # fmt: skip
"""Names of a summary's columns, in the order of `_SUMMARY`, and their types."""


def _summary(row: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = dict(zip(_TYPES, row, strict=True))
    for name, value in found.items():
        if not isinstance(value, _TYPES[name]):
            raise ValueError(f"expected {_TYPES[name]} as {name}, got {value!r:.60}")  # noqa: TRY004 - of the file, not of a caller
    found["status"] = _status_of(found["status"])
    found["metadata"] = _read(found["metadata"])
    found["cancel_requested"] = found["cancel_requested"] is not None
    if found["status"] is ExecutionStatus.INTERRUPTED and found["ended_ns"] is None:
        found["ended_ns"] = found["seen_ns"]
    return found


def _status_of(text: str) -> ExecutionStatus:
    try:
        return ExecutionStatus(text)
    except ValueError as error:
        raise ValueError(f"expected a status, got {text!r:.60}") from error
