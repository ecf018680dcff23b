"""Counts of a file's contents, by queue."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from factflow_engine.queues.sqlite.durability import Durability
from factflow_engine.queues.sqlite.owners import OPENING
from factflow_engine.queues.sqlite.schema import LINE_SHIFT
from factflow_engine.queues.sqlite.store import Store
from factflow_protocols import LineStatistics, StageStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStatistics:
    """Statistics of a whole file.

    Attributes:
        path: Path of the file.
        file_bytes: Its size, without the write-ahead log.
        log_bytes: Size of the write-ahead log.
        free_bytes: Part of the file that deleted messages have left; it is used before the file grows.
        remembered_ids: Number of ids by which duplicates are detected.
        durability: Durability of this process's commits.
        states: Number of stages' states, one for each process of an execution that has not completed.
        answers: Number of such stages' answers to unacknowledged messages.
        stages: Stages that keep something, ordered by name.
        lines: Queues and subscriptions, ordered by name.
    """

    path: Path
    file_bytes: int
    log_bytes: int
    free_bytes: int
    remembered_ids: int
    durability: Durability
    states: int
    answers: int
    stages: tuple[StageStatistics, ...]
    lines: tuple[LineStatistics, ...]

    @property
    def figures(self) -> Mapping[str, int | str]:
        """See `StoreStatistics.figures`."""
        return {
            "path": str(self.path),
            "file_bytes": self.file_bytes,
            "log_bytes": self.log_bytes,
            "free_bytes": self.free_bytes,
            "remembered_ids": self.remembered_ids,
        }

    @property
    def summary(self) -> str:
        """See `StoreStatistics.summary`."""
        return (
            f"{self.path}: {self.file_bytes:,} bytes, {self.free_bytes:,} of them free, {self.log_bytes:,} in the log; "
            f"{self.remembered_ids:,} ids remembered"
        )


def statistics(store: Store) -> FileStatistics:
    """Read the statistics; takes no lock."""
    with store.snapshot():
        return _file(store)


def _file(store: Store) -> FileStatistics:
    connection, path = store.connection, store.settings.path
    pragmas = {
        name: connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_size", "page_count", "freelist_count")
    }
    log = path.with_name(path.name + "-wal")
    stages = _stages(store)
    return FileStatistics(
        path=path,
        file_bytes=pragmas["page_size"] * pragmas["page_count"],
        log_bytes=log.stat().st_size if log.exists() else 0,
        free_bytes=pragmas["page_size"] * pragmas["freelist_count"],
        remembered_ids=connection.execute("SELECT count(*) FROM seen").fetchone()[0],
        states=sum(stage.states for stage in stages),
        answers=sum(stage.answers for stage in stages),
        stages=tuple(stages),
        durability=store.settings.durability,
        lines=tuple(_lines(store)),
    )


def _stages(store: Store) -> list[StageStatistics]:
    [tables] = store.connection.execute(
        "SELECT count(*) FROM sqlite_master WHERE name IN ('stage_state', 'stage_answer')"
    ).fetchone()
    if tables < 2:
        return []  # a file of an older version, opened read-only
    rows = store.connection.execute(
        "SELECT execution, route, stage, sum(states), sum(bytes), sum(answers) FROM ("
        "SELECT execution, route, stage, count(*) AS states, total(length(state)) AS bytes, 0 AS answers "
        "FROM stage_state WHERE (route, stage) <> (?, ?) GROUP BY 1, 2, 3 UNION ALL "
        "SELECT execution, route, stage, 0, 0, count(*) FROM stage_answer GROUP BY 1, 2, 3) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        OPENING,
    )
    return [
        StageStatistics(
            execution=execution, route=route, stage=stage, states=states, state_bytes=int(size), answers=answers
        )
        for execution, route, stage, states, size, answers in rows
    ]


def _lines(store: Store) -> list[LineStatistics]:
    connection, now = store.connection, store.now_ns
    held = {
        line: (due, delayed, leased)
        for line, due, delayed, leased in connection.execute(
            "SELECT line, sum((high - low + 1) * (due <= ?1)), sum((high - low + 1) * (due > ?1 AND token = 0)), "
            "sum((high - low + 1) * (due > ?1 AND token > 0)) FROM hold GROUP BY line",
            (now,),
        )
    }
    settled = dict(
        connection.execute(
            "SELECT low >> ?, sum(high - low + 1) FROM settled WHERE until > 0 GROUP BY 1", (LINE_SHIFT,)
        )
    )
    found = []
    for line, queue, subscription, tail, cursor, capacity, quarantined in connection.execute(
        "SELECT id, queue, subscription, tail, cursor, coalesce(capacity, ?), quarantined FROM line "
        "ORDER BY queue, subscription",
        (store.settings.capacity,),
    ):
        due, delayed, leased = held.get(line, (0, 0, 0))
        found.append(
            LineStatistics(
                queue=queue,
                subscription=subscription,
                waiting=tail - cursor + due,
                delayed=delayed,
                leased=leased,
                settled=settled.get(line, 0),
                quarantined=quarantined,
                capacity=capacity,
                accepted=tail,
            )
        )
    return found
