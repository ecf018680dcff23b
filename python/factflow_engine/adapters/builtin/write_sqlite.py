"""`write_sqlite`: each message as a row of a SQLite table, once for each message id.

Rows are checked when their message is processed, so that an invalid row rejects only its own message. They are inserted
together: before the messages are acknowledged on a durable queue, else when the buffer is full and at the end.
"""

import sqlite3
from typing import Annotated, Any, ClassVar, Final, Self

import trio
from pydantic import AfterValidator, Field, model_validator

from factflow_engine.adapters.builtin._config import BuiltinConfig
from factflow_engine.adapters.builtin._json import json_text, rfc3339
from factflow_engine.adapters.builtin._table import ID_COLUMN, Row, Table, open_table
from factflow_engine.adapters.builtin._write_buffer import WriteBuffer
from factflow_engine.field_names import FieldName
from factflow_engine.field_paths import MISSING, FieldPath
from factflow_engine.seams import TrioThreads
from factflow_protocols import AdapterResult, PipelineContext, Reject, StageInfo, StatefulAdapter, Timestamp

BUFFER_ROWS: Final = 2_000
BUFFER_BYTES: Final = 1_048_576
_INTEGERS: Final = range(-(2**63), 2**63)


def _identifier(name: str) -> str:
    if "\0" in name or not name.strip():
        raise ValueError(f"{name!r} cannot name a table or column; write letters, digits and underscores")
    if name.lower().startswith("sqlite_"):
        raise ValueError(f"{name!r}: names that begin with sqlite_ belong to SQLite; choose another")
    return name


Identifier = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_identifier)]


class WriteSqliteConfig(BuiltinConfig):
    """The table, and the fields in its columns."""

    path: str = Field(min_length=1)
    """The database file, relative to the pipeline's folder. It is made if it is not there, with the folders on the way."""
    table: Identifier
    """The table. It is made if it is not there, with a primary key `message_id` and the columns below."""
    columns: Annotated[dict[Identifier, FieldName], Field(max_length=1000)] = Field(default_factory=dict)
    """Field of the message by column. A field that the message lacks is NULL; lists and maps are stored as JSON,
    timestamps as RFC 3339. Without columns the whole message is stored as JSON in a column `message`."""

    @model_validator(mode="after")
    def _distinct_columns(self) -> Self:
        seen = {ID_COLUMN: ID_COLUMN}  # column names are case-insensitive in SQLite
        for name in self.columns:
            if name.lower() in seen:
                other = seen[name.lower()]
                reason = "holds the message's id" if other == ID_COLUMN else f"is the same column as {other!r}"
                raise ValueError(f"column {name!r} {reason}; give it another name")
            seen[name.lower()] = name
        return self


class WriteSqlite(StatefulAdapter):
    """Adapter that writes each message as a row and passes it on.

    The row's `message_id` is the message's id, 32 hexadecimal digits: a message that is delivered or retried adds no
    second row. Several processes, and other programs, may use the file meanwhile. On a durable queue a message is
    acknowledged when its row is committed; with queues in memory rows are committed a few thousand at a time, and at
    the end, also of a cancelled execution.
    """

    config_model: ClassVar[type[Any] | None] = WriteSqliteConfig
    summary: ClassVar[str] = "Write each message as a row of a SQLite table, once for each message id."
    durable_batches: ClassVar[bool] = True
    path_fields: ClassVar[tuple[str, ...]] = ("path",)
    keeps_state: ClassVar[bool | None] = True

    def __init__(self, config: WriteSqliteConfig) -> None:
        self._config = config
        self._fields = tuple(FieldPath(field) for field in config.columns.values())
        self._threads = TrioThreads(limit=1)
        self._table: Table | None = None
        self._buffer = WriteBuffer[str, Row](  # rows that are not committed
            lambda rows: self._opened.insert(tuple(rows.values())),
            threads=self._threads,
            lock=trio.Lock(),
            size_of=_size,
            most_bytes=BUFFER_BYTES,
            most_entries=BUFFER_ROWS,
        )

    async def open(self, stage: StageInfo) -> None:
        """Open the file, and make or check the table.

        Raises:
            OSError: The file cannot exist there, or cannot be used.
            ValueError: The table has another shape.
        """
        path = (stage.directory / self._config.path).resolve()
        columns = tuple(self._config.columns) or ("message",)
        self._table = await self._threads.run(lambda: open_table(path, self._config.table, columns))

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Add the message's row.

        Raises:
            Reject: The message has a value that SQLite, or this table, cannot hold.
            OSError: The file refuses rows; they are kept until it takes them.

        Cancellation: may be raised while waiting for the disk; the row was then not added.
        """
        row = self._row(context)
        try:
            self._opened.check(row)
        except sqlite3.Error as error:
            raise Reject(f"the message cannot be a row of table {self._config.table!r}: {error}") from error
        while self._buffer.is_full:
            await self._buffer.write_out()
        self._buffer.add(context.message_id, row)
        return AdapterResult.forward()

    async def flush(self) -> None:
        """Commit every row that was added.

        Raises:
            OSError: The rows are not committed.
        """
        await self._buffer.write_out()

    async def finish(self) -> None:
        """Commit the remaining rows.

        Raises:
            OSError: The rows are not committed.
        """
        await self._buffer.write_out()

    async def close(self) -> None:
        """Commit the remaining rows and close the file.

        Rows that cannot be committed stay in the buffer, so that a later `flush` refuses to acknowledge them.
        """
        try:
            await self._buffer.write_out()
        finally:
            table, self._table = self._table, None
            if table is not None:
                await self._threads.run(table.close)

    @property
    def _opened(self) -> Table:
        if self._table is None:
            raise RuntimeError("write_sqlite is used before open() or after close()")
        return self._table

    def _row(self, context: PipelineContext) -> Row:
        message = context.message
        if not self._fields:
            return (context.message_id, json_text(message))
        return (context.message_id, *[_value(path, path.get(message)) for path in self._fields])


def _value(path: FieldPath, value: Any) -> str | bytes | int | float | None:
    """Return the value as SQLite stores it.

    Raises:
        Reject: The value is an integer beyond 64 bits with a sign, or NaN, which SQLite would store as NULL.
    """
    if value is MISSING or value is None:
        return None
    if isinstance(value, (str, bytes)):
        return value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        if value not in _INTEGERS:
            raise Reject(f"field {path.text!r} holds {value}, SQLite's integers end at {_INTEGERS.stop - 1}")
        return value
    if isinstance(value, float):
        if value != value:  # noqa: PLR0124 - NaN
            raise Reject(f"field {path.text!r} holds NaN, which SQLite cannot store")
        return value
    if isinstance(value, Timestamp):
        try:
            return rfc3339(value)
        except ValueError as error:
            raise Reject(f"field {path.text!r}: {error}") from error
    return json_text(value)


def _size(row: Row) -> int:
    return sum(len(value) if isinstance(value, (str, bytes)) else 8 for value in row)
