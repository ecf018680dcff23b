"""A replay or a recovery as the session sees it: shown and ended while its messages are published."""

from typing import Any

import pytest
import trio

from factflow_engine.cli.launch import Launch, launched
from factflow_engine.errors import ClosedReason, ExecutionClosedError
from factflow_engine.executions import ReplayStoppedError, StartedExecution
from factflow_engine.runtime.report import ExecutionReport


class Display:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.remark = ""

    def say(self, line: str) -> None:
        self.said.append(line)


class FakeExecution:
    """Ends when it is told to."""

    def __init__(self, samples: Any) -> None:
        self.samples = samples
        self.asked: list[Any] = []

    async def complete(self) -> ExecutionReport:
        self.asked.append("complete")
        result: ExecutionReport = self.samples.report()
        return result

    async def drain(self, seconds: float, /) -> ExecutionReport:
        self.asked.append(("drain", seconds))
        return await self.complete()

    async def cancel(self, seconds: float, /) -> ExecutionReport:
        self.asked.append(("cancel", seconds))
        return await self.complete()


class Replay:
    """A replay of three messages, each of which waits for `turns`."""

    def __init__(self, samples: Any, *, fails: Exception | None = None) -> None:
        self.execution = FakeExecution(samples)
        self.turns, self.taken = trio.open_memory_channel[None](0)
        self.given: dict[str, Any] = {}
        self.fails = fails

    async def start(self, *_: object, begun: Any, progress: Any, **given: Any) -> StartedExecution:
        self.given = given
        started = StartedExecution(id="record", execution=self.execution)  # type: ignore[arg-type]
        begun(started)
        for number in range(3):
            await self.taken.receive()
            if self.fails is not None and number == 1:
                raise self.fails
            progress(number + 1)
        return started

    async def launch(self, nursery: trio.Nursery, display: Display) -> Any:
        async def task(task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
            launch = Launch(start=self.start, messages=3, idempotency_key=None)  # type: ignore[arg-type]
            options: dict[str, Any] = {"tag": "t", "metadata": {}, "allow_loss": False, "task_status": task_status}
            await launched(launch, None, None, display, **options)  # type: ignore[arg-type]

        return await nursery.start(task)


async def test_what_is_published_is_shown_and_completion_waits_for_it(samples: Any, autojump_clock: Any) -> None:
    replay, display, remarks = Replay(samples), Display(), []
    async with trio.open_nursery() as nursery:
        record, execution = await replay.launch(nursery, display)
        nursery.start_soon(execution.complete)
        for _ in range(3):
            await replay.turns.send(None)
            assert replay.execution.asked == []
            await trio.testing.wait_all_tasks_blocked()
            remarks.append(display.remark)
    assert record == "record"
    assert remarks == ["1 of 3 stored messages published", "2 of 3 stored messages published", ""]
    assert display.said == ["3 stored messages published"]
    assert replay.execution.asked == ["complete"]
    assert replay.given == {"tag": "t", "metadata": {}, "allow_loss": False}


@pytest.mark.parametrize("published", [False, True])
async def test_interrupted_while_messages_are_published_it_is_cancelled_rather_than_drained(
    samples: Any, autojump_clock: Any, published: bool
) -> None:
    replay, display = Replay(samples), Display()
    async with trio.open_nursery() as nursery:
        _, execution = await replay.launch(nursery, display)
        for _ in range(3 if published else 2):
            await replay.turns.send(None)
        await trio.testing.wait_all_tasks_blocked()
        await execution.drain(7.0)
        nursery.cancel_scope.cancel()
    assert replay.execution.asked[0] == ("drain" if published else "cancel", 7.0)
    assert ("only those in flight may finish" in display.said[0]) == (not published)


async def test_a_replay_that_somebody_has_ended_says_how_far_it_came(samples: Any, autojump_clock: Any) -> None:
    closed = ReplayStoppedError("e", 1, 3, ExecutionClosedError("e", "cancelled", ClosedReason.CANCELLED, None))
    replay, display = Replay(samples, fails=closed), Display()
    async with trio.open_nursery() as nursery:
        _, execution = await replay.launch(nursery, display)
        await replay.turns.send(None)
        await replay.turns.send(None)
        await execution.complete()
    assert display.said == ["1 of 3 stored messages were published; recover it for the others"]
    assert display.remark == ""


async def test_a_replay_that_fails_ends_the_session(samples: Any, autojump_clock: Any) -> None:
    replay = Replay(samples, fails=ReplayStoppedError("e", 1, 3, OSError("the disk is gone")))
    with pytest.RaisesGroup(pytest.RaisesExc(ReplayStoppedError, match="the disk is gone")):
        async with trio.open_nursery() as nursery:
            _, execution = await replay.launch(nursery, Display())
            await replay.turns.send(None)
            await replay.turns.send(None)
            await execution.complete()
