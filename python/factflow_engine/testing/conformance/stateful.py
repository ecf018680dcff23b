"""Checks for adapters that are opened and closed (`StatefulAdapter`).

Used like those of `adapters`. Kept separate because most adapters keep nothing.
"""

import gc
from functools import partial
from pathlib import Path
from typing import Final

from factflow_engine.adapters.keeping import flushes, snapshots
from factflow_engine.frames import pack, unpack
from factflow_engine.storages.memory import MemoryStorage
from factflow_engine.testing.conformance.adapters import AdapterCheck
from factflow_engine.testing.conformance.expectations import ConformanceError
from factflow_engine.testing.conformance.interruption import MOST_CHECKPOINTS, interrupted
from factflow_engine.testing.conformance.leftovers import open_files, require_files, require_tasks, tasks
from factflow_engine.testing.conformance.running import NotApplicableError
from factflow_engine.testing.conformance.trials import Trial, answer, finish, new_folder, require_equal
from factflow_protocols import AdapterResult, StageInfo, StatefulAdapter


async def it_finishes_with_a_result_or_none(trial: Trial, folder: Path) -> None:
    """Check that `finish` returns an `AdapterResult` that carries messages, or None."""
    async with trial.opened(folder / "1") as adapter:
        for context in trial.contexts():
            await answer(adapter, context)
        result: object = await adapter.finish() if isinstance(adapter, StatefulAdapter) else None
        if result is not None and not isinstance(result, AdapterResult):
            raise ConformanceError(
                f"finish(): expected an AdapterResult or None, got {result!r:.100}; write AdapterResult(message=...)"
            )
        if isinstance(result, AdapterResult) and result.is_forward:
            raise ConformanceError("finish(): expected an AdapterResult with a message, got forward(); there is none")


async def it_closes_without_finishing(trial: Trial, folder: Path) -> None:
    """Check that `close` works after messages without `finish`, as in a cancelled execution, and without messages."""
    async with trial.opened(folder / "empty"):
        pass
    async with trial.opened(folder / "unfinished") as adapter:
        for context in trial.contexts():
            await answer(adapter, context)


async def closing_releases_its_files(trial: Trial, folder: Path) -> None:
    """Check that no more files are open after `close` than before `open`, with and without `finish`."""
    await trial.whole_run(folder / "first")  # imports, and whatever is kept on purpose
    for turn in ("finished", "unfinished"):
        gc.collect()
        before = open_files()
        if before is None:
            raise NotApplicableError("the system does not tell the number of open files")
        async with trial.opened(folder / turn) as adapter:
            for context in trial.contexts():
                await answer(adapter, context)
            if turn == "finished":
                await finish(adapter)
        require_files(before, f"close(), {turn}")


async def a_cancelled_open_leaves_nothing(trial: Trial, folder: Path) -> None:
    """Check that `open`, cancelled at any checkpoint, raises `trio.Cancelled` and leaves no task and no open file."""
    await trial.whole_run(folder / "first")
    for checkpoint in range(1, MOST_CHECKPOINTS + 1):
        adapter = trial.make()
        if not isinstance(adapter, StatefulAdapter):
            return
        files, before = open_files(), await tasks()
        where = f"open() was cancelled at checkpoint {checkpoint}"
        info = StageInfo(
            execution_id="test", route="route", stage="stage", directory=new_folder(folder / f"{checkpoint}")
        )
        trial.bind(adapter, MemoryStorage(), info)
        ended = await interrupted(partial(adapter.open, info), checkpoint, if_returned=adapter.close)
        if ended.error is not None:
            if not ended.delivered:
                raise ended.error
            raise ConformanceError(f"{where}: expected trio.Cancelled, got {ended.error!r:.200}; let it propagate")
        if ended.returned and ended.delivered:
            raise ConformanceError(f"{where}: expected trio.Cancelled, got a return; let it propagate")
        await require_tasks(before, where)
        del adapter
        require_files(files, where)
        if not ended.reached:
            return


async def its_state_survives_a_restart(trial: Trial, folder: Path) -> None:
    """Check that an instance that takes over half-way answers, and finishes, as one that had all messages.

    The state goes over by `snapshot` and `restore`, or by what `flush` has made durable.
    """
    store = MemoryStorage()
    contexts = trial.contexts()
    half = len(contexts) // 2
    if not half:
        raise NotApplicableError("it needs two messages")
    expected = await trial.whole_run(folder / "whole", durable=True)
    state: bytes | None = None
    async with trial.opened(folder / "halves", store=store, durable=True) as adapter:
        for context in contexts[:half]:
            await answer(adapter, context)
        if isinstance(adapter, StatefulAdapter):
            if snapshots(type(adapter)):
                state = pack(adapter.snapshot())
            if flushes(type(adapter)):
                await adapter.flush()
    async with trial.opened(folder / "halves", store=store, durable=True, resumed=True) as adapter:
        if state is not None and isinstance(adapter, StatefulAdapter):
            adapter.restore(unpack(state))
        answers = [await answer(adapter, context) for context in contexts[half:]]
        require_equal(answers, expected.answers[half:], "after a restart, the answer")
        require_equal(await finish(adapter), expected.finished, "after a restart, the answer of finish()")


STATEFUL_ADAPTER_CHECKS: Final[tuple[AdapterCheck, ...]] = (
    it_finishes_with_a_result_or_none,
    it_closes_without_finishing,
    closing_releases_its_files,
    a_cancelled_open_leaves_nothing,
    its_state_survives_a_restart,
)
"""Every check of this module."""
