"""Minutes of lineage into SQLite segments with retention running, then look-ups in millions of rows.

    python -m bench.programs.lineage_soak --seconds 600 --rows 10000000

The rows are made before the clock starts and written again with other ids, so that making them costs little of what is
measured; `cpu` is that of the whole process, that cost included.
"""

import argparse
import shutil
import statistics
import time
from pathlib import Path
from tempfile import mkdtemp

import trio

from bench.workloads.lineage_rows import ROWS_A_MESSAGE, Batch, batch
from factflow_engine.lineage.sqlite import SqliteLineage, SqliteLineageSettings
from factflow_engine.lineage.sqlite.folder import segments

_MESSAGES = 2_000
_GIB = 1 << 30


def main() -> None:
    """Print a line a minute, and the figures at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--retention-bytes", type=int, default=2 * _GIB)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows to look up in, written first and kept")
    options = parser.parse_args()
    folder = Path(mkdtemp(prefix="lineage-soak-"))
    try:
        trio.run(_look_up, folder / "found", options.rows)
        shutil.rmtree(folder / "found")
        trio.run(_soak, folder / "soak", options.seconds, options.retention_bytes)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _look_up(folder: Path, rows: int) -> None:
    sink = SqliteLineage(SqliteLineageSettings(path=folder))
    began = time.time_ns()
    wanted: list[bytes] = []
    started, cpu = time.perf_counter(), time.process_time()
    for number in range(rows // (_MESSAGES * ROWS_A_MESSAGE)):
        entries, outcomes = batch(number * _MESSAGES, _MESSAGES, began_ns=began)
        wanted.append(entries[number % len(entries)].message_id)
        await sink.write(entries, outcomes)
    await sink.close()
    found = segments(folder)
    size = sum(each.size_bytes for each in found)
    print(
        f"{rows:,} rows in {len(found)} segments, {size / rows:.0f} bytes a row; written and made in "
        f"{time.perf_counter() - started:.0f} s, {(time.process_time() - cpu) / rows * 1e6:.2f} us of CPU a row",
        flush=True,
    )
    reader = sink.reader()
    times: list[float] = []
    for each in wanted[:1_000]:
        at = time.perf_counter()
        if len((await reader.messages([each])).visits) != ROWS_A_MESSAGE - 1:
            raise RuntimeError("a message is not found whole")
        times.append((time.perf_counter() - at) * 1e3)
    await reader.close()
    ordered = sorted(times[1:])
    print(
        f"look-up by message id: first {times[0]:.2f} ms, median {statistics.median(ordered):.2f} ms, "
        f"p99 {ordered[int(len(ordered) * 0.99)]:.2f} ms",
        flush=True,
    )


async def _soak(folder: Path, seconds: float, retention_bytes: int) -> None:
    sink = SqliteLineage(SqliteLineageSettings(path=folder, retention_bytes=retention_bytes))
    rows, slowest, largest = 0, 0.0, 0
    ready: Batch = batch(0, _MESSAGES)
    started, cpu, minute, in_minute = time.perf_counter(), time.process_time(), time.perf_counter(), 0
    number = 0
    while time.perf_counter() - started < seconds:
        number += 1
        # Other times, and so other ids and keys, for the same rest.
        when = (time.time_ns() // 1_000_000 + number).to_bytes(6)
        entries = [row._replace(message_id=when + row.message_id[6:]) for row in ready[0]]
        outcomes = [row._replace(message_id=when + row.message_id[6:]) for row in ready[1]]
        at = time.perf_counter()
        await sink.write(entries, outcomes)
        slowest = max(slowest, time.perf_counter() - at)
        rows += len(entries) + len(outcomes)
        in_minute += len(entries) + len(outcomes)
        if time.perf_counter() - minute >= 60:
            largest = max(largest, sum(each.size_bytes for each in segments(folder)))
            print(f"{in_minute / (time.perf_counter() - minute):,.0f} rows/s, {largest / _GIB:.2f} GiB", flush=True)
            minute, in_minute = time.perf_counter(), 0
    elapsed, spent = time.perf_counter() - started, time.process_time() - cpu
    largest = max(largest, sum(each.size_bytes for each in segments(folder)))
    await sink.close()
    print(
        f"{rows:,} rows in {elapsed:.0f} s: {rows / elapsed:,.0f} rows/s, {spent / rows * 1e6:.2f} us of CPU a row, "
        f"slowest batch {slowest * 1e3:.0f} ms, at most {largest / _GIB:.2f} GiB of {retention_bytes / _GIB:.2f} GiB, "
        f"{len(segments(folder))} segments",
        flush=True,
    )


if __name__ == "__main__":
    main()
