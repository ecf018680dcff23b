"""Adapters that are wrong in one way each: `WRONG` names one or more for every check of adapters, which must fail on it."""

import itertools
import random
import time
from pathlib import Path
from typing import ClassVar

import trio
from pydantic import BaseModel

from factflow_protocols import AdapterResult, PipelineAdapter, StatefulAdapter


class BadDefault(BaseModel):
    model_config = {"validate_default": True}
    number: int = "many"


class HasABadDefault(PipelineAdapter):
    config_model = BadDefault

    def __init__(self, config):
        self.config = config

    async def process(self, context):
        return AdapterResult.forward()


class TakesAnArgumentOfItsOwn(PipelineAdapter):
    def __init__(self, client):
        self.client = client

    async def process(self, context):
        return AdapterResult.forward()


class ReturnsTheMessage(PipelineAdapter):
    async def process(self, context):
        return context.message


class SendsASet(PipelineAdapter):
    async def process(self, context):
        return AdapterResult(message={"all": {1, 2}})


class EmitsAnObject(PipelineAdapter):
    async def process(self, context):
        return AdapterResult(emitted=[object()])


class SetsAWrongHeader(PipelineAdapter):
    async def process(self, context):
        return AdapterResult(message=1, headers={"path": Path()})


class ForwardsWhatItHasChanged(PipelineAdapter):
    async def process(self, context):
        context.message["seen"] = True
        return AdapterResult.forward()


class ChangesHeaders(PipelineAdapter):
    async def process(self, context):
        context.headers["list"].append(1)
        return AdapterResult.forward()


class Counts(PipelineAdapter):
    def __init__(self):
        self.count = itertools.count()

    async def process(self, context):
        return AdapterResult(message=next(self.count))


class KeepsTheMessageOnItself(PipelineAdapter):
    async def process(self, context):
        self.message = context.message
        await trio.sleep(0.001)
        return AdapterResult(message=self.message)


class KeepsTheMessageOnItselfInThreads(PipelineAdapter):
    def process(self, context):
        self.message = context.message
        time.sleep(0.01)
        return AdapterResult(message=self.message)


class SwallowsCancelled(PipelineAdapter):
    async def process(self, context):
        try:
            await trio.sleep(0.001)
        except BaseException:
            return AdapterResult(message="was cancelled")
        return AdapterResult(message="slept")


class SwallowsCancelledInItsSecondPart(PipelineAdapter):
    async def process(self, context):
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        return AdapterResult(emitted=self.parts())

    async def parts(self):
        yield 1
        try:
            await trio.sleep(0.001)
        except trio.Cancelled:
            return
        yield 2


class TurnsCancelledIntoItsOwn(PipelineAdapter):
    async def process(self, context):
        try:
            await trio.sleep(0.001)
        except BaseException as error:
            raise LookupError("interrupted") from error
        return AdapterResult.forward()


class LeavesAScopeOpen(PipelineAdapter):
    async def process(self, context):
        trio.CancelScope().__enter__()
        await trio.lowlevel.checkpoint()
        return AdapterResult.forward()


class KeepsItsLock(PipelineAdapter):
    def __init__(self):
        self.is_busy = False

    async def process(self, context):
        if self.is_busy:
            return AdapterResult(message="busy")
        self.is_busy = True
        await trio.sleep(0.001)
        self.is_busy = False
        return AdapterResult.forward()


class CountsBeforeItsLastAwait(StatefulAdapter):
    def __init__(self):
        self.count = 0

    async def process(self, context):
        self.count += 1
        await trio.sleep(0.001)
        return AdapterResult.forward()

    async def finish(self):
        return AdapterResult(message=self.count)


class LeavesASystemTask(PipelineAdapter):
    async def process(self, context):
        trio.lowlevel.spawn_system_task(trio.sleep, 30)
        return AdapterResult.forward()


class LeavesATaskWhenCancelled(PipelineAdapter):
    async def process(self, context):
        try:
            await trio.sleep(0.001)
        except trio.Cancelled:
            trio.lowlevel.spawn_system_task(trio.sleep, 30)
            raise
        return AdapterResult.forward()


class Blocks(PipelineAdapter):
    async def process(self, context):
        await trio.lowlevel.checkpoint()
        time.sleep(0.05)
        await trio.lowlevel.checkpoint()
        return AdapterResult.forward()


class BlocksInATaskOfItsOwn(PipelineAdapter):
    async def process(self, context):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.block)
        return AdapterResult.forward()

    async def block(self):
        await trio.lowlevel.checkpoint()
        time.sleep(0.05)


class ReadsTheClock(PipelineAdapter):
    async def process(self, context):
        return AdapterResult(message=time.time())


class ReadsTriosClock(PipelineAdapter):
    def __init__(self):
        self.made = trio.current_time() if trio.lowlevel.in_trio_run() else 0.0

    async def process(self, context):
        return AdapterResult(message=self.made)


class Draws(PipelineAdapter):
    def __init__(self):
        self.number = random.random()

    async def process(self, context):
        return AdapterResult(message=self.number)


class FinishesByChance(StatefulAdapter):
    async def process(self, context):
        return AdapterResult.forward()

    async def finish(self):
        return AdapterResult(message=random.random())


class Lines:
    """An iterator that holds a file, and cannot be closed."""

    kept: ClassVar[list] = []

    def __init__(self):
        self.file = Path(__file__).open()  # noqa: SIM115 - that is wrong with it
        self.kept.append(self.file)

    def __iter__(self):
        return self

    def __next__(self):
        if self.file.closed or not (line := self.file.readline()):
            self.file.close()
            raise StopIteration
        return line[:10]


class EmitsWhatCannotBeClosed(PipelineAdapter):
    async def process(self, context):
        return AdapterResult(emitted=Lines())


class GoesOnWhenItIsClosed(PipelineAdapter):
    async def process(self, context):
        return AdapterResult(emitted=self.numbers())

    def numbers(self):
        for number in range(3):
            try:
                yield number
            except GeneratorExit:
                yield "still here"


class FinishesWithAValue(StatefulAdapter):
    async def process(self, context):
        return AdapterResult.forward()

    async def finish(self):
        return {"done": True}


class FinishesByForwarding(StatefulAdapter):
    async def process(self, context):
        return AdapterResult.forward()

    async def finish(self):
        return AdapterResult.forward()


class ClosesOnlyWhatFinished(StatefulAdapter):
    async def process(self, context):
        return AdapterResult.forward()

    async def finish(self):
        self.report = "done"

    async def close(self):
        self.report.strip()


class LeavesItsFileOpen(StatefulAdapter):
    kept: ClassVar[list] = []

    async def open(self, stage):
        self.kept.append((stage.directory / "out").open("w"))

    async def process(self, context):
        return AdapterResult.forward()


class LeavesItsFileOpenWithoutFinish(StatefulAdapter):
    kept: ClassVar[list] = []

    async def open(self, stage):
        self.file = (stage.directory / "out").open("w")
        self.kept.append(self.file)

    async def process(self, context):
        return AdapterResult.forward()

    async def finish(self):
        self.file.close()


class LeavesItsFileOpenWhenItsOpenIsCancelled(StatefulAdapter):
    kept: ClassVar[list] = []

    async def open(self, stage):
        self.file = (stage.directory / "out").open("w")
        self.kept.append(self.file)
        await trio.sleep(0.001)

    async def process(self, context):
        return AdapterResult.forward()

    async def close(self):
        self.file.close()


class SwallowsCancelledWhenItOpens(StatefulAdapter):
    async def open(self, stage):
        try:
            await trio.sleep(0.001)
        except trio.Cancelled:
            return

    async def process(self, context):
        return AdapterResult.forward()


class LeavesATaskWhenItsOpenIsCancelled(StatefulAdapter):
    async def open(self, stage):
        self.scope = trio.CancelScope()
        trio.lowlevel.spawn_system_task(self.beat)
        await trio.sleep(0.001)

    async def beat(self):
        with self.scope:
            await trio.sleep_forever()

    async def process(self, context):
        return AdapterResult.forward()

    async def close(self):
        self.scope.cancel()


class ForgetsItsState(StatefulAdapter):
    def __init__(self):
        self.count = 0

    async def process(self, context):
        self.count += 1
        return AdapterResult.forward()

    async def finish(self):
        return AdapterResult(message=self.count)

    def snapshot(self):
        return self.count

    def restore(self, state):
        self.count = 0


class FlushesNothing(StatefulAdapter):
    durable_batches = True

    def __init__(self):
        self.seen = []

    async def open(self, stage):
        self.path = stage.directory / "seen"

    async def process(self, context):
        self.seen.append(context.message_id)
        return AdapterResult.forward()

    async def flush(self):
        self.path.write_text("nothing")

    async def finish(self):
        return AdapterResult(message=len(self.seen))


WRONG = {
    "its_class_and_configuration_are_usable": [HasABadDefault, TakesAnArgumentOfItsOwn],
    "it_returns_a_result_or_none": [ReturnsTheMessage],
    "its_results_can_be_sent_on": [SendsASet, EmitsAnObject, SetsAWrongHeader],
    "what_it_is_given_stays_as_it_was": [ForwardsWhatItHasChanged, ChangesHeaders],
    "the_same_message_gives_the_same_again": [Counts],
    "messages_do_not_disturb_each_other": [KeepsTheMessageOnItself, KeepsTheMessageOnItselfInThreads],
    "it_lets_cancellation_through": [
        SwallowsCancelled,
        SwallowsCancelledInItsSecondPart,
        TurnsCancelledIntoItsOwn,
        LeavesAScopeOpen,
    ],
    "after_a_cancelled_call_the_next_one_works": [KeepsItsLock, CountsBeforeItsLastAwait],
    "it_leaves_no_tasks_behind": [LeavesASystemTask, LeavesATaskWhenCancelled],
    "it_does_not_block_the_event_loop": [Blocks, BlocksInATaskOfItsOwn],
    "it_reads_neither_clocks_nor_chance": [ReadsTheClock, ReadsTriosClock, Draws, FinishesByChance],
    "an_iterator_that_is_left_early_is_closed": [EmitsWhatCannotBeClosed, GoesOnWhenItIsClosed],
    "it_finishes_with_a_result_or_none": [FinishesWithAValue, FinishesByForwarding],
    "it_closes_without_finishing": [ClosesOnlyWhatFinished],
    "closing_releases_its_files": [LeavesItsFileOpen, LeavesItsFileOpenWithoutFinish],
    "a_cancelled_open_leaves_nothing": [
        LeavesItsFileOpenWhenItsOpenIsCancelled,
        SwallowsCancelledWhenItOpens,
        LeavesATaskWhenItsOpenIsCancelled,
    ],
    "its_state_survives_a_restart": [ForgetsItsState, FlushesNothing],
}
"""Check to the adapters that it must find."""
