"""Statements about stored configurations.

Kept separate from those about executions because they share nothing but the transaction.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from factflow_engine.executions.database import Session
from factflow_engine.executions.errors import ConfigInUseError, ConfigNameError, StaleConfigError, UnknownRecordError
from factflow_engine.executions.records import LONGEST_NAME, ConfigDraft, StoredConfig, check_label
from factflow_engine.executions.sql_executions import ALIVE

_COLUMNS: Final = (
    "config.id, config.name, v.version, config.version, v.hash, v.yaml, v.directory, v.file, config.active, v.errors, "
    "config.created_ns, v.saved_ns"
)
_JOINED: Final = f"SELECT {_COLUMNS} FROM config JOIN config_version v ON v.config_id = config.id"  # noqa: S608 - constants

MOST_CANDIDATES: Final = 20


def save_config(
    session: Session, draft: ConfigDraft, *, of: str | None, expected: int | None, new_id: Callable[[], str]
) -> StoredConfig:
    """See `ExecutionStore`."""
    check_label("configuration's name", draft.name, LONGEST_NAME)
    others = session.rows("SELECT id FROM config WHERE name = ?", [draft.name])
    if others and others[0][0] != of:
        raise ConfigNameError(
            f"there is a configuration {draft.name!r} already; change it with `factflow config edit`, or choose another name"
        )
    if of is None:
        config_id, version = new_id(), 1
        session.change(
            "INSERT INTO config(id, name, active, version, created_ns) VALUES (?, ?, 1, 1, ?)",
            [config_id, draft.name, draft.saved_ns],
        )
    else:
        config_id = of
        present = latest_version(session, of)
        if expected is not None and present != expected:
            raise StaleConfigError(draft.name, expected, present)
        version = present + 1
        session.change("UPDATE config SET version = ?, name = ? WHERE id = ?", [version, draft.name, of])
    session.change(
        "INSERT INTO config_version(config_id, version, hash, yaml, directory, file, errors, saved_ns) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [config_id, version, draft.hash, draft.text, draft.directory, draft.file, draft.errors, draft.saved_ns],
    )
    return _config(session.rows(f"{_JOINED} WHERE config.id = ? AND v.version = ?", [config_id, version])[0])


def latest_version(session: Session, config_id: str) -> int:
    """Return the number of a configuration's latest version.

    Raises:
        UnknownRecordError: There is no such configuration.
    """
    rows = session.rows("SELECT version FROM config WHERE id = ?", [config_id])
    if not rows:
        raise UnknownRecordError("configuration", config_id)
    return int(rows[0][0])


def set_active(session: Session, config_id: str, *, active: bool) -> None:
    """See `ExecutionStore`."""
    if not session.change("UPDATE config SET active = ? WHERE id = ?", [int(active), config_id]):
        raise UnknownRecordError("configuration", config_id)


def config(session: Session, named: str, version: int | None) -> StoredConfig:
    """See `ExecutionStore`."""
    config_id, latest = _found(session, named)
    rows = session.rows(
        f"{_JOINED} WHERE config.id = ? AND v.version = ?", [config_id, latest if version is None else version]
    )
    if not rows:
        raise UnknownRecordError("version", str(version), hint=f"configuration {named!r} has versions 1 to {latest}")
    return _config(rows[0])


def configs(session: Session, *, active: bool | None) -> Sequence[StoredConfig]:
    """See `ExecutionStore`."""
    rows = session.rows(f"{_JOINED} AND v.version = config.version ORDER BY config.name")
    return [found for found in map(_config, rows) if active is None or found.active == active]


def delete_config(session: Session, config_id: str, *, force: bool) -> None:
    """See `ExecutionStore`."""
    rows = session.rows("SELECT name FROM config WHERE id = ?", [config_id])
    if not rows:
        raise UnknownRecordError("configuration", config_id)
    running = session.rows(
        f"SELECT id FROM execution WHERE config_id = ? AND {ALIVE} ORDER BY started_ns",  # noqa: S608 - a constant
        [config_id, *session.now],
    )
    if running and not force:
        raise ConfigInUseError(rows[0][0], [row[0] for row in running])
    session.change("DELETE FROM config_version WHERE config_id = ?", [config_id])
    session.change("DELETE FROM config WHERE id = ?", [config_id])


def _found(session: Session, named: str) -> tuple[str, int]:
    """Return id and latest version of the configuration that has the name, the id, or a beginning of one of them."""
    for condition in ("name = ?", "id = ?"):
        rows = session.rows(f"SELECT id, version FROM config WHERE {condition}", [named])  # noqa: S608 - constants
        if rows:
            return rows[0][0], rows[0][1]
    rows = []
    if named:
        rows = session.rows(
            "SELECT id, version, name FROM config WHERE substr(id, 1, ?) = ? OR substr(name, 1, ?) = ? ORDER BY name LIMIT ?",
            [len(named), named, len(named), named, MOST_CANDIDATES],
        )
    if len(rows) == 1:
        return rows[0][0], rows[0][1]
    candidates = [f"{row[2]} ({row[0]})" for row in rows]
    raise UnknownRecordError("configuration", named, candidates, hint="`factflow config list` names them")


def _config(row: Sequence[Any]) -> StoredConfig:
    config_id, name, version, latest, digest, text, directory, file, active, errors, created_ns, saved_ns = row
    return StoredConfig(
        id=config_id,
        name=name,
        version=version,
        latest=latest,
        hash=digest,
        text=text,
        directory=directory,
        file=file,
        active=bool(active),
        errors=errors,
        created_ns=created_ns,
        saved_ns=saved_ns,
    )
