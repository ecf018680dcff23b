"""Stored configurations and executions for people and programs: times, JSON forms, findings of the present.

Kept separate from the commands because several print the same.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from factflow_engine.app import App
from factflow_engine.cli.findings import findings_document, summary
from factflow_engine.cli.interrupts import held_interrupts
from factflow_engine.cli.tables import Cell
from factflow_engine.config import LoadResult
from factflow_engine.executions import ExecutionSummary, StoredConfig, StoredExecution
from factflow_engine.runtime.report import ExecutionStatus

STYLES = {
    ExecutionStatus.COMPLETED: "green",
    ExecutionStatus.RUNNING: "",
    ExecutionStatus.FAILED: "bold red",
    ExecutionStatus.CANCELLED: "bold yellow",
    ExecutionStatus.INTERRUPTED: "bold red",
}


def checked_config(app: App, stored: StoredConfig, *, imports: bool = True) -> LoadResult:
    """Return the loader's findings on a stored configuration, against the adapters that are there now."""
    with held_interrupts():
        return app.loader.check_text(stored.text, name_of(stored), directory=Path(stored.directory), imports=imports)


def name_of(stored: StoredConfig) -> str:
    """Return the name that findings on a stored configuration have for a file."""
    return f"{stored.name}@{stored.version}"


def state_of(stored: StoredConfig, result: LoadResult) -> str:
    """Return the state of a configuration in brief: `ok`, its errors, and if they are new, or it means something else now."""
    if result.errors:
        words = summary(result.findings)
        return words if stored.errors else f"{words}, none when it was saved"
    digest = None if result.config is None else result.config.hash
    return "ok" if digest == stored.hash else "ok, with other defaults than when it was saved"


def config_document(stored: StoredConfig, result: LoadResult | None = None) -> dict[str, object]:
    """Return the JSON form of a stored configuration, with the present findings if they were looked for."""
    document: dict[str, object] = {
        "id": stored.id,
        "name": stored.name,
        "version": stored.version,
        "latest": stored.latest,
        "config_hash": stored.hash,
        "active": stored.active,
        "file": stored.file,
        "directory": stored.directory,
        "created": time_of(stored.created_ns),
        "saved": time_of(stored.saved_ns),
        "errors_when_saved": stored.errors,
    }
    if result is not None:
        document["runnable"] = stored.active and result.is_valid
        document["state"] = state_of(stored, result)
        document["findings"] = findings_document(result.findings)
    return document


def execution_document(summary: ExecutionSummary) -> dict[str, object]:
    """Return the JSON form of a recorded execution; of a whole one with its statistics, report and snapshot."""
    document: dict[str, object] = {
        "id": summary.id,
        "scope": summary.scope,
        "name": summary.name,
        "status": str(summary.status),
        "cancel_requested": summary.cancel_requested,
        "error": summary.error,
        "config_id": summary.config_id,
        "config_version": summary.config_version,
        "config_hash": summary.config_hash,
        "tag": summary.tag,
        "metadata": dict(summary.metadata),
        "parent": summary.parent,
        "replay_source": summary.replay_source,
        "idempotency_key": summary.idempotency_key,
        "queue": summary.queue,
        "recovered_by": summary.recovered_by,
        "started": time_of(summary.started_ns),
        "ended": None if summary.ended_ns is None else time_of(summary.ended_ns),
        "seen": time_of(summary.seen_ns),
        "host": summary.host,
        "pid": summary.pid,
    }
    if isinstance(summary, StoredExecution):
        document["statistics"] = summary.statistics
        document["report"] = summary.report
        document["directory"] = summary.directory
        document["snapshot"] = summary.snapshot
    return document


def status_cell(summary: ExecutionSummary) -> Cell:
    """Return the cell of an execution's state."""
    cancelling = summary.cancel_requested and summary.status is ExecutionStatus.RUNNING
    return Cell("cancelling" if cancelling else str(summary.status), STYLES.get(summary.status, ""))


def counts_of(execution: StoredExecution) -> dict[str, Any]:
    """Return the report of an execution, or what it last stored of its statistics; empty if it has stored none."""
    return dict(execution.report or execution.statistics or {})


def time_of(ns: int) -> str:
    """Return a wall time as ISO 8601, in UTC, with milliseconds."""
    return (
        datetime.fromtimestamp(ns // 1_000_000 / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def age_of(start_ns: int, end_ns: int) -> str:
    """Return a duration for people."""
    seconds = max(0, end_ns - start_ns) / 1e9
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
