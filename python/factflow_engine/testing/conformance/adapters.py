"""Checks for every adapter: what the engine relies on, and its author can see only in operation.

Each takes a `Trial`, with messages that the adapter understands, and a folder. Kept separate from the checks of
`StatefulAdapter`, which have more to open and close.
"""

import copy
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import trio

from factflow_engine.frames import pack
from factflow_engine.seams import TrioThreads
from factflow_engine.testing.conformance.expectations import ConformanceError
from factflow_engine.testing.conformance.interruption import MOST_CHECKPOINTS, Interrupted, LongestStep, interrupted
from factflow_engine.testing.conformance.leftovers import open_files, require_files, require_tasks, tasks
from factflow_engine.testing.conformance.running import NotApplicableError
from factflow_engine.testing.conformance.trials import (
    Answer,
    Trial,
    answer,
    finish,
    fresh,
    processed,
    require_equal,
)
from factflow_engine.testing.fakes import FakeContext
from factflow_protocols import AdapterResult, EngineInstruction, Overloaded, PipelineAdapter

AdapterCheck: TypeAlias = Callable[[Trial, Path], Awaitable[None]]

_ROUNDS: Final = 5


async def its_class_and_configuration_are_usable(trial: Trial, folder: Path) -> None:
    """Check that the class can be registered, its configuration has a valid JSON Schema, and its defaults load."""
    del folder
    await trio.lowlevel.checkpoint()
    trial.register()


async def it_returns_a_result_or_none(trial: Trial, folder: Path) -> None:
    """Check that `process` returns an `AdapterResult` or None for each message."""
    async with trial.opened(folder / "1") as adapter:
        for number, context in enumerate(trial.contexts(), 1):
            try:
                result = await processed(adapter, context)
            except (EngineInstruction, Overloaded):
                continue
            if result is not None and not isinstance(result, AdapterResult):
                raise ConformanceError(
                    f"process() of message {number}: expected an AdapterResult or None, got {result!r:.100}; "
                    "write AdapterResult(message=...)"
                )
            await _closed(result)


async def its_results_can_be_sent_on(trial: Trial, folder: Path) -> None:
    """Check that messages and headers that it returns or emits can be packed."""
    async with trial.opened(folder / "1") as adapter:
        for number, context in enumerate(trial.contexts(), 1):
            _require_packable(await answer(adapter, context), f"message {number}")
        _require_packable(await finish(adapter), "finish()")


async def what_it_is_given_stays_as_it_was(trial: Trial, folder: Path) -> None:
    """Check that it changes no headers, and does not forward a message that it has changed."""
    async with trial.opened(folder / "1") as adapter:
        for number, context in enumerate(trial.contexts(), 1):
            headers = copy.deepcopy(dict(context.headers))
            try:
                result = await processed(adapter, context)
            except (EngineInstruction, Overloaded):
                result = None
            if dict(context.headers) != headers:
                raise ConformanceError(
                    f"headers of message {number}: expected {headers!r}, as they were given, got "
                    f"{dict(context.headers)!r}; return AdapterResult(..., headers={{...}}) to set some"
                )
            if isinstance(result, AdapterResult) and result.is_forward and pack(context.message) != context.payload:
                raise ConformanceError(
                    f"message {number} was changed and forwarded: expected no change, for AdapterResult.forward() passes "
                    "on the original; return AdapterResult(message=...)"
                )
            await _closed(result)


async def the_same_message_gives_the_same_again(trial: Trial, folder: Path) -> None:
    """Check that one instance answers an equal message equally: a redelivery emits what the first delivery did."""
    async with trial.opened(folder / "1") as adapter:
        for number, context in enumerate(trial.contexts(), 1):
            first = await answer(adapter, fresh(context))
            require_equal(await answer(adapter, context), first, f"the second answer to message {number}")


async def messages_do_not_disturb_each_other(trial: Trial, folder: Path) -> None:
    """Check that messages processed at the same time are answered as each is alone."""
    if len({context.payload for context in trial.messages}) < 2:
        raise NotApplicableError("it needs two different messages")
    alone = []
    for number, context in enumerate(trial.contexts()):
        async with trial.opened(folder / f"{number}") as adapter:
            alone.append(await answer(adapter, context))
    threads = None if trial.virtual else TrioThreads()
    async with trial.opened(folder / "together") as adapter:
        for _ in range(_ROUNDS):
            got = await _together(adapter, trial, threads)
            require_equal(got[: len(alone)], alone, "the answer, at the same time as others,")
            require_equal(got[len(alone) :], alone, "the answer, at the same time as others,")


async def it_lets_cancellation_through(trial: Trial, folder: Path) -> None:
    """Check that a call that is cancelled, at any of its checkpoints, raises `trio.Cancelled` and nothing else."""

    async def judge(adapter: PipelineAdapter, ended: Interrupted[Answer], where: str) -> None:
        del adapter
        await trio.lowlevel.checkpoint()
        if ended.error is not None:
            if not ended.delivered:
                raise ended.error
            raise ConformanceError(f"{where}: expected trio.Cancelled, got {ended.error!r:.200}; let it propagate")
        if ended.delivered and ended.returned:
            raise ConformanceError(
                f"{where}: expected trio.Cancelled, got {ended.result}; let it propagate, "
                "and raise it again after `except BaseException`"
            )

    await _interrupt_everywhere(trial, folder, judge)


async def after_a_cancelled_call_the_next_one_works(trial: Trial, folder: Path) -> None:
    """Check that an instance answers, and finishes, as if the cancelled call had not been."""
    expected = await trial.whole_run(folder / "expected")

    async def judge(adapter: PipelineAdapter, ended: Interrupted[Answer], where: str) -> None:
        if ended.returned:
            return
        answers = [await answer(adapter, each) for each in trial.contexts()]
        require_equal(answers, expected.answers, f"after {where}, the answer")
        require_equal(await finish(adapter), expected.finished, f"after {where}, the answer of finish()")

    await _interrupt_everywhere(trial, folder, judge)


async def it_leaves_no_tasks_behind(trial: Trial, folder: Path) -> None:
    """Check that no task of its own runs after calls, whole or cancelled, and after `close`."""
    before = await tasks()
    await trial.whole_run(folder / "whole")
    await require_tasks(before, "all messages were processed")

    async def judge(adapter: PipelineAdapter, ended: Interrupted[Answer], where: str) -> None:
        del adapter, ended, where
        await trio.lowlevel.checkpoint()

    await _interrupt_everywhere(trial, folder, judge, afterwards=partial(require_tasks, before))


async def it_does_not_block_the_event_loop(trial: Trial, folder: Path) -> None:
    """Check that `async def process` runs for no longer than the limit from one checkpoint to the next.

    The best of several calls counts, so that a busy machine is no failure.
    """
    async with trial.opened(folder / "1") as adapter:
        for number, context in enumerate(trial.contexts(), 1):
            best = min([await _longest_step(adapter, fresh(context)) for _ in range(3)])
            if best > trial.longest_step_seconds * 1e9:
                raise ConformanceError(
                    f"process() of message {number} blocked the event loop for {best / 1e6:,.0f} ms, expected at most "
                    f"{trial.longest_step_seconds * 1e3:,.0f} ms; write `def process`, which runs in a thread, or "
                    'runs_in = "process" for what computes'
                )


async def it_reads_neither_clocks_nor_chance(trial: Trial, folder: Path) -> None:
    """Check that a new instance, at another time, answers equally."""
    first = await trial.whole_run(folder / "1")
    await trio.sleep(trial.pause_seconds)
    second = await trial.whole_run(folder / "2")
    require_equal(second.answers, first.answers, "the answer of another instance, later,")
    require_equal(second.finished, first.finished, "the answer of another instance's finish(), later")


async def an_iterator_that_is_left_early_is_closed(trial: Trial, folder: Path) -> None:
    """Check that an emitted iterator that is closed after its first element leaves no task and no open file."""
    emits = False
    async with trial.opened(folder / "1") as adapter:
        for number, context in enumerate(trial.contexts(), 1):
            expected = await answer(adapter, fresh(context))
            files, before = open_files(), await tasks()
            try:
                result = await processed(adapter, fresh(context))
            except (EngineInstruction, Overloaded):
                continue
            emitted = result.emitted if isinstance(result, AdapterResult) else None
            if emitted is None or isinstance(emitted, (list, tuple)):
                continue
            emits = True
            await _one_of(emitted)
            await _closed(result)
            await require_tasks(before, f"the iterator of message {number} was closed")
            require_files(files, f"the iterator of message {number} was closed")
            require_equal(await answer(adapter, context), expected, f"the answer to message {number} after that")
    if not emits:
        raise NotApplicableError("it emits no iterator for these messages")


ADAPTER_CHECKS: Final[tuple[AdapterCheck, ...]] = (
    its_class_and_configuration_are_usable,
    it_returns_a_result_or_none,
    its_results_can_be_sent_on,
    what_it_is_given_stays_as_it_was,
    the_same_message_gives_the_same_again,
    messages_do_not_disturb_each_other,
    it_lets_cancellation_through,
    after_a_cancelled_call_the_next_one_works,
    it_leaves_no_tasks_behind,
    it_does_not_block_the_event_loop,
    it_reads_neither_clocks_nor_chance,
    an_iterator_that_is_left_early_is_closed,
)
"""Every check of this module."""


async def _interrupt_everywhere(
    trial: Trial,
    folder: Path,
    judge: Callable[[PipelineAdapter, Interrupted[Answer], str], Awaitable[None]],
    *,
    afterwards: Callable[[str], Awaitable[None]] | None = None,
) -> None:
    """Cancel a call of each message at each of its checkpoints, every time on a new instance.

    Args:
        trial: The adapter.
        folder: Folder for all instances.
        judge: Called with the instance, the end of the call, and a text for it.
        afterwards: Called with the text when the instance is closed.
    """
    for number, context in enumerate(trial.messages, 1):
        for checkpoint in range(1, MOST_CHECKPOINTS + 1):
            where = f"process() of message {number}, cancelled at checkpoint {checkpoint}"
            async with trial.opened(folder / f"{number}.{checkpoint}") as adapter:
                ended = await interrupted(partial(answer, adapter, fresh(context)), checkpoint)
                await judge(adapter, ended, where)
            if afterwards is not None:
                await afterwards(where)
            if not ended.reached:
                break


async def _together(adapter: PipelineAdapter, trial: Trial, threads: TrioThreads | None) -> list[Answer]:
    """Return the answers to all messages, twice, processed at the same time."""
    contexts = [*trial.contexts(), *trial.contexts()]
    got: dict[int, Answer] = {}

    async def one(place: int) -> None:
        got[place] = await answer(adapter, contexts[place], threads)

    async with trio.open_nursery() as nursery:
        for place in range(len(contexts)):
            nursery.start_soon(one, place)
    return [got[place] for place in range(len(contexts))]


async def _longest_step(adapter: PipelineAdapter, context: FakeContext) -> int:
    await trio.lowlevel.checkpoint()
    steps = LongestStep()
    trio.lowlevel.add_instrument(steps)
    try:
        await answer(adapter, context)
        steps.end()
    finally:
        trio.lowlevel.remove_instrument(steps)
    return steps.nanoseconds


async def _one_of(emitted: Iterable[Any] | AsyncIterable[Any]) -> None:
    """Pull the first element."""
    if isinstance(emitted, AsyncIterable):
        async for _ in emitted:
            return
    else:
        for _ in emitted:
            return


async def _closed(result: object) -> None:
    """Close the iterator of a result as the engine does."""
    emitted: Any = result.emitted if isinstance(result, AdapterResult) else None
    if hasattr(emitted, "aclose"):
        await emitted.aclose()
    elif hasattr(emitted, "close"):
        emitted.close()


def _require_packable(got: Answer, source: str) -> None:
    for part in got.parts:
        if isinstance(part, str) and got.kind in {"message", "emitted"}:
            raise ConformanceError(
                f"the result of {source}: expected a value that a message can carry, got {part:.300}"
            )
