"""The session against a fake execution: what each interruption asks of it, and when."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from factflow_engine.cli.progress.base import Progress
from factflow_engine.cli.session import Session, SessionEnd
from factflow_engine.config import InitMessageConfig
from factflow_engine.runtime.report import ExecutionReport, ExecutionStatistics
from factflow_protocols import Begun


class SilentProgress(Progress):
    """Keeps what it was told."""

    interval_seconds = 1.0

    def __init__(self) -> None:
        self.said: list[str] = []
        self.shown = 0
        self.ended = 0

    def show(self, statistics: ExecutionStatistics) -> None:
        self.shown += 1

    def end(self, statistics: ExecutionStatistics) -> None:
        self.ended += 1

    def say(self, line: str) -> None:
        self.said.append(line)


class FakeExecution:
    """Ends when it is told to."""

    def __init__(self, samples: Any) -> None:
        self.samples = samples
        self.asked: list[tuple[str, float]] = []
        self.begun: Begun | None = None
        self.over = trio.Event()

    def statistics(self, *, details: bool = True) -> ExecutionStatistics:
        assert not details, "what is shown several times a second may not cost by how many messages wait"
        result: ExecutionStatistics = self.samples.statistics(a=self.samples.route(in_flight=3, waiting=1200))
        return result

    async def complete(self) -> ExecutionReport:
        await self.over.wait()
        result: ExecutionReport = self.samples.report()
        return result

    async def drain(self, budget: float) -> ExecutionReport:
        self.asked.append(("drain", budget))
        return await self.complete()

    async def cancel(self, grace: float) -> ExecutionReport:
        self.asked.append(("cancel", grace))
        self.over.set()
        return await self.complete()


class FakeManager:
    """Starts the fake execution after a while."""

    def __init__(self, execution: FakeExecution, start_seconds: float = 0.0) -> None:
        self.execution = execution
        self.start_seconds = start_seconds
        self.asked: dict[str, Any] = {}
        self.steps: list[Callable[[], Awaitable[None]]] = []

    async def start(self, config: Any, **options: Any) -> FakeExecution:
        self.asked = options
        await trio.sleep(self.start_seconds)
        for step in self.steps:
            await step()
        return self.execution


class Stage:
    """A session with fakes around it."""

    def __init__(self, samples: Any, *, start_seconds: float = 0.0, **options: Any) -> None:
        self.execution = FakeExecution(samples)
        self.manager = FakeManager(self.execution, start_seconds)
        self.progress = SilentProgress()
        self.options = {"drain_seconds": 10.0, **options}

    @asynccontextmanager
    async def open_manager(self) -> AsyncIterator[FakeManager]:
        yield self.manager

    async def play(self, *script: tuple[float, signal.Signals | Callable[[], None]]) -> SessionEnd:
        """Run the session; at each time do what the script says."""
        send, receive = trio.open_memory_channel[int](10)
        session = Session(
            open_manager=self.open_manager,
            config=None,  # type: ignore[arg-type]  # the fake does not look at it
            progress=self.progress,
            **self.options,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._script, send, script)
            end = await session.run(receive)
        return end

    async def end_at(self, seconds: float) -> None:
        await trio.sleep_until(seconds)
        self.execution.over.set()

    async def _script(self, send: trio.MemorySendChannel[int], script: tuple[Any, ...]) -> None:
        for at, action in script:
            await trio.sleep_until(at)  # the virtual clock begins at zero
            if isinstance(action, signal.Signals):
                await send.send(action)
            else:
                action()


async def test_an_undisturbed_run_ends_with_its_report(samples: Any, autojump_clock: Any) -> None:
    stage = Stage(samples)
    end = await stage.play((2.5, stage.execution.over.set))
    assert end.report is not None
    assert end.interrupted_by is None
    assert stage.manager.asked == {"execution_id": None, "init": None, "asked_ns": None, "allow_loss": False}
    assert (stage.progress.shown, stage.progress.ended) == (3, 1)
    assert stage.execution.asked == []


async def test_the_first_interruption_drains_and_says_so(samples: Any, autojump_clock: Any) -> None:
    stage = Stage(samples)
    end = await stage.play((1, signal.SIGINT), (2, stage.execution.over.set))
    assert stage.execution.asked == [("drain", 10.0)]
    assert end.interrupted_by is signal.SIGINT
    (said,) = stage.progress.said
    assert "3 in flight, 0 to be tried again and 1,200 waiting may take 10 s" in said


async def test_the_second_interruption_cancels_at_once(samples: Any, autojump_clock: Any) -> None:
    stage = Stage(samples)
    end = await stage.play((1, signal.SIGTERM), (2, signal.SIGINT))
    assert stage.execution.asked == [("drain", 10.0), ("cancel", 0)]
    assert end.interrupted_by is signal.SIGTERM, "the first signal decides the exit status"


async def test_without_a_drain_budget_the_first_interruption_cancels(samples: Any, autojump_clock: Any) -> None:
    stage = Stage(samples, drain_seconds=0)
    await stage.play((1, signal.SIGINT))
    assert stage.execution.asked == [("cancel", 0)]


async def test_an_interruption_while_starting_cancels_the_start(samples: Any, autojump_clock: Any) -> None:
    stage = Stage(samples, start_seconds=60)
    end = await stage.play((1, signal.SIGINT))
    assert end == SessionEnd(report=None, interrupted_by=signal.SIGINT)
    assert trio.current_time() < 60
    assert "while starting" in stage.progress.said[0]


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("drain_seconds", [0.0, 10.0])
@pytest.mark.parametrize("step", range(7))
async def test_at_whatever_step_of_a_start_an_interruption_comes_it_is_obeyed(
    step: int, drain_seconds: float, times: int, samples: Any, autojump_clock: Any
) -> None:
    """Of the last steps the start cannot be cancelled any more: it returns an execution all the same."""
    send, receive = trio.open_memory_channel[int](10)
    stage = Stage(samples, drain_seconds=drain_seconds)
    before, after = [trio.lowlevel.checkpoint] * 3, [trio.lowlevel.cancel_shielded_checkpoint] * 3

    async def interrupt() -> None:
        for _ in range(times):
            send.send_nowait(signal.SIGTERM)

    stage.manager.steps = [*before, *after]
    stage.manager.steps.insert(step, interrupt)
    session = Session(
        open_manager=stage.open_manager,
        config=None,  # type: ignore[arg-type]  # the fake does not look at it
        progress=stage.progress,
        drain_seconds=drain_seconds,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.end_at, 5)
        end = await session.run(receive)
        nursery.cancel_scope.cancel()
    assert end.interrupted_by is signal.SIGTERM
    assert step == 2 or (end.report is None) is (step < 2), (
        "which of the two runs first at the boundary is trio's choice"
    )
    if end.report is None:
        assert stage.execution.asked == []
        assert set(stage.progress.said) == {"interrupted while starting"}
    elif times == 2:
        assert ("cancel", 0) in stage.execution.asked
        assert stage.progress.said[-1].startswith("cancelling: ")
    else:
        assert stage.execution.asked == [("drain", 10.0) if drain_seconds else ("cancel", 0)]
        assert stage.progress.said[-1].startswith("draining: " if drain_seconds else "cancelling: ")


@pytest.mark.parametrize("begun", [None, Begun(published=True, left=0), Begun(published=False, left=3)])
async def test_what_is_not_published_because_the_execution_goes_on_is_said(
    begun: Begun | None, samples: Any, autojump_clock: Any
) -> None:
    init = (InitMessageConfig(route="a", payload={"n": 1}),)
    stage = Stage(samples, init=init, asked_ns=7, unpublished=lambda begun: f"{begun.left} are left")
    stage.execution.begun = begun
    await stage.play((1, stage.execution.over.set))
    assert stage.manager.asked == {"execution_id": None, "init": init, "asked_ns": 7, "allow_loss": False}
    assert stage.progress.said == (["3 are left"] if begun and not begun.published else [])


async def test_what_the_progress_raises_ends_the_run(samples: Any, autojump_clock: Any) -> None:
    stage = Stage(samples)

    def refuse(_: ExecutionStatistics) -> None:
        raise BrokenPipeError

    stage.progress.show = refuse  # type: ignore[method-assign]  # as a closed pipe would
    with pytest.raises(ExceptionGroup) as caught:
        await stage.play()
    assert caught.group_contains(BrokenPipeError)


async def test_a_signal_that_comes_after_the_end_interrupts_nothing(samples: Any, autojump_clock: Any) -> None:
    """The report stands; the queue, say, is still being closed."""
    stage = Stage(samples)

    @asynccontextmanager
    async def slow_to_close() -> AsyncIterator[FakeManager]:
        yield stage.manager
        await trio.sleep(5)

    stage.open_manager = slow_to_close  # type: ignore[method-assign]
    end = await stage.play((1, stage.execution.over.set), (2, signal.SIGTERM))
    assert end.report is not None
    assert end.interrupted_by is None
