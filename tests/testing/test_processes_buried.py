"""Burial of dead processes: what their tasks held is freed, and nothing that they do then is heard."""

import contextlib
import functools
import gc
import logging
import weakref

import pytest
import trio
import trio.testing

from testing.test_processes import in_processes


class Marked:
    """An object whose end can be seen."""


async def held_up(marked, log):
    try:
        await trio.sleep_forever()
    finally:
        log.append(f"held up ends, trio can be reached: {trio.lowlevel.in_trio_run()}")
        await trio.sleep(1)
        log.append("it waited")


async def unwilling(marked, stubborn):
    while stubborn:
        with contextlib.suppress(BaseException):
            await trio.sleep_forever()


async def failing(marked):
    try:
        await trio.sleep_forever()
    finally:
        logging.getLogger("dead").error("it ends")
        trio.sleep(1)  # never awaited, of which Python warns
        raise ZeroDivisionError


async def in_a_generator(marked, log):
    async def generator():
        try:
            yield 1
            await held_up(marked, log)
            yield 2
        finally:
            log.append("a generator ends")
            await trio.sleep(1)

    generators = [generator(), generator(), generator()]
    cycle = [generators]
    cycle.append(cycle)
    for each in generators[:2]:
        assert await anext(each) == 1
    await anext(generators[1])


async def starting(nursery, log):
    try:
        await trio.sleep_forever()
    finally:
        try:
            nursery.start_soon(held_up, None, log)
        finally:
            log.append("it started nothing")


def hard_to_bury(log):
    async def program(process):
        process.marked = Marked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(held_up, process.marked, log)
            nursery.start_soon(failing, process.marked)
            nursery.start_soon(in_a_generator, process.marked, log)
            nursery.start_soon(starting, nursery, log)
            await trio.sleep_forever()

    return program


def test_the_dead_are_buried_without_a_warning_and_what_they_held_is_freed(caplog, recwarn):
    log, marks = [], []

    async def main(processes):
        program = hard_to_bury(log)

        async def marking(process):
            marks.append(weakref.ref(process))
            await program(process)

        with trio.move_on_after(1):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(processes.run, 0, marking)
                await trio.sleep(0.5)
                await processes.crash(0)
        assert log == []
        await processes.bury()
        assert "held up ends, trio can be reached: False" in log
        assert "it started nothing" in log
        assert "it waited" not in log
        before = len(log)
        await trio.sleep(10)
        gc.collect()
        await trio.sleep(10)
        assert len(log) == before
        assert [mark() for mark in marks] == [None]
        assert len(trio.lowlevel.current_root_task().child_nurseries[0].child_tasks) == 1

    in_processes(main)
    gc.collect()
    assert not caplog.records
    assert not recwarn


def test_a_coroutine_that_does_not_end_is_kept_and_never_closed_again(recwarn):
    stubborn = [True]

    async def main(processes):
        await processes.run(0, functools.partial(unwilling, stubborn=stubborn), crash_step=1)

    in_processes(main)
    gc.collect()
    assert not recwarn
    stubborn.clear()  # so that it ends with the interpreter


def test_living_processes_keep_trios_care_of_their_async_generators():
    log = []

    async def main(processes):
        async def numbers():
            try:
                yield 1
            finally:
                log.append("ends")

        async def program(process):
            generator = numbers()
            await anext(generator)
            with pytest.warns(ResourceWarning, match="garbage collected before it had been exhausted"):
                del generator
            await trio.sleep(1)

        await processes.run(0, program)
        assert log == ["ends"]

    in_processes(main)


def test_five_hundred_crashes_leave_nothing(recwarn):
    log = []

    async def main(processes):
        program = hard_to_bury(log)
        counts = []
        for number in range(500):
            await processes.run(number, program, crash_step=1 + number % 5)
            if number % 100 == 99:
                await processes.bury()
                gc.collect()
                counts.append(len(gc.get_objects()))
                log.clear()
        assert counts[-1] - counts[1] < 300 * 10  # each life left some 300 objects; what is left is its number
        runner = trio._core._run.GLOBAL_RUN_CONTEXT.runner
        assert len(runner.tasks) < 6
        assert len(runner.deadlines._heap) == 0
        return counts

    counts = in_processes(main)
    assert not recwarn
    print(counts)
