"""Adapters in worker processes: the same results and errors as in a thread, and a process that dies takes one message along."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from factflow_engine import OrchestratorManager
from factflow_engine.errors import ExecutionStartError
from factflow_engine.runtime.report import Outcome
from factflow_engine.seams import TrioProcesses
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult
from support.pipelines import load, registry_of, running
from support.process_adapters import OddError, Threaded, Work

STAGE = "routes: {r: {adapters: [{type: work%s}, {type: record}], error_handling: {max_retries: 0}}}"


def is_running(pid):
    """True if the process lives; a zombie is one that nobody has waited for, and counts."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def gone(pid):
    """Wait until a process has ended, whoever is to reap it: its first thread may be a zombie before the others are gone."""
    while is_running(pid) and not is_zombie(pid):
        await trio.sleep(0.01)


def is_zombie(pid):
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "Z" and len(list(Path(f"/proc/{pid}/task").iterdir())) == 1


async def pids(folder, kind):
    """Wait until a process has left its id in this folder; the ids of all that did."""
    while not (found := [int(path.name.removeprefix(f"{kind}-")) for path in folder.glob(f"{kind}-*")]):
        await trio.sleep(0.01)
    return found


class Recorded:
    """What came out of the stage, and an execution to put something in."""

    def __init__(self):
        self.messages = []
        self.contexts = []

    async def __call__(self, context):
        self.messages.append(context.message)
        self.contexts.append({"headers": dict(context.headers), "payload": context.payload})
        return AdapterResult.forward()


def adapters_with(recorded, work=Work):
    async def record(context):
        return await recorded(context)

    return {"work": work, "record": record}


async def run_all(messages, options="", work=Work, **more):
    """A report of messages through the stage, and what came out."""
    recorded = Recorded()
    async with running(STAGE % options, adapters=adapters_with(recorded, work), seconds=60, **more) as execution:
        for message in messages:
            await execution.publish("r", message)
        return await execution.complete(), recorded


async def error_of(do, **more):
    report, _ = await run_all([{"do": do, **more}])
    [failure] = report.failures
    assert report.routes["r"].failed == 1
    return failure.error_type, failure.error


async def test_the_work_is_done_in_another_process_that_makes_its_adapter_once():
    _, recorded = await run_all([{"do": "who"}] * 5, ", processes: 1")
    [pid] = {message["pid"] for message in recorded.messages}
    assert pid != os.getpid()
    assert [message["made_in"] for message in recorded.messages] == [pid] * 5
    assert [message["calls"] for message in recorded.messages] == [1, 2, 3, 4, 5]
    assert not is_running(pid)


async def test_a_process_is_replaced_after_so_many_messages(tmp_path):
    options = f", processes: 1, max_messages_per_process: 2, config: {{folder: {tmp_path}}}"
    _, recorded = await run_all([{"do": "who"}] * 5, options)
    assert sorted(message["calls"] for message in recorded.messages) == [1, 1, 1, 2, 2]
    assert not any(map(is_running, await pids(tmp_path, "made")))


async def test_no_more_processes_than_allowed(tmp_path):
    _, recorded = await run_all([{"do": "who"}] * 40, f", processes: 2, config: {{folder: {tmp_path}}}")
    assert len(recorded.messages) == 40
    assert len({message["pid"] for message in recorded.messages}) <= 2
    assert len(list(tmp_path.glob("made-*"))) <= 2


async def test_a_limit_holds_for_calls_in_processes_and_each_way_to_end_gives_the_permit_back(tmp_path):
    limit = "backpressure: {algorithm: aimd, initial_concurrency: 1, max_concurrency: 1}"
    options = f", processes: 3, timeout_seconds: 1, {limit}, config: {{folder: {tmp_path}}}"
    hang = {"do": "hang", "folder": str(tmp_path)}
    report, recorded = await run_all([{"do": "who"}, {"do": "kill"}, {"do": "fail"}, hang, {"do": "who"}], options)
    assert len(recorded.messages) == 2
    figures = report.limits["r/work"]
    assert (figures.acquired, figures.answered, figures.dropped, figures.in_flight) == (5, 4, 1, 0)
    assert figures.refused == 4


async def test_a_cancelled_call_in_a_process_gives_its_permit_back_and_teaches_nothing(tmp_path):
    limit = ", backpressure: {algorithm: aimd, initial_concurrency: 1, max_concurrency: 1}"
    async with running(STAGE % limit, adapters=adapters_with(Recorded()), seconds=60) as execution:
        for _ in range(3):
            await execution.publish("r", {"do": "hang", "folder": str(tmp_path)})
        await pids(tmp_path, "hangs")
        await execution.cancel(0)
        figures = (await execution.wait_ended()).limits["r/work"]
    assert (figures.answered, figures.dropped, figures.in_flight, figures.waiting) == (0, 0, 0, 0)
    assert figures.released == figures.acquired


@pytest.mark.parametrize(
    "do", ["forward", "end", "emit", "see", "fail", "reject", "fail_oddly", "give_dict", "give_object"]
)
async def test_a_process_and_a_thread_make_the_same_of_a_message(do):
    outcomes = []
    for work in (Work, Threaded):
        recorded = Recorded()
        async with running(STAGE % "", adapters=adapters_with(recorded, work), seconds=60) as execution:
            await execution.publish("r", {"do": do, "deep": [1.5, None, b"x", {"a": "ü"}]}, headers={"h": [1]}, key="k")
            report = await execution.complete()
        for message in recorded.messages:
            if do == "see":
                ids, place = message.pop("ids"), message["place"]
                assert ids[0] == ids[1]
                assert ids[2] is None
                assert place.pop(0) == execution.id
        failed = [(failure.error_type, failure.error, failure.place) for failure in report.failures]
        outcomes.append((recorded.messages, recorded.contexts if do != "see" else (), report.outcomes, failed))
    assert outcomes[0] == outcomes[1]


async def test_an_error_comes_back_as_it_was():
    assert OddError(3, hint="see").args == ("odd 3, see",)  # so that its constructor cannot be called with them
    assert await error_of("fail_oddly") == ("OddError", "odd 3, see")
    assert (await error_of("fail_in_a_group"))[0] == "ExceptionGroup"


@pytest.mark.parametrize("do", ["fail", "fail_oddly", "fail_unpicklably", "fail_in_a_group", "reject"])
async def test_an_error_names_the_line_that_raised_it_in_the_process(do):
    report, _ = await run_all([{"do": do}])
    [failure] = report.failures
    code = getattr(Work, do).__code__
    assert failure.place == f"process_adapters.py:{code.co_firstlineno + 1}"


async def test_an_error_that_cannot_be_pickled_is_named():
    for do, name, text in (
        ("fail_unpicklably", "support.process_adapters.UnpicklableOddError", "held"),
        ("fail_locally", "support.process_adapters.Work.fail_locally.<locals>.LocalError", "of nowhere"),
    ):
        error_type, error = await error_of(do)
        assert error_type == "UnpicklableError"
        assert error.startswith(f"{name}: {text} (raised in a worker process; the error cannot be pickled: ")


async def test_instructions_are_followed(tmp_path):
    marker = str(tmp_path / "marker")
    report, recorded = await run_all([{"do": "later", "marker": marker}, {"do": "reject"}])
    assert report.outcomes[Outcome.COMPLETED] == 1
    assert len(recorded.messages) == 1
    [failure] = report.failures
    assert (failure.error_type, failure.error, failure.attempts) == ("Reject", "never", 1)


async def test_a_lazy_result_is_refused_by_name():
    error_type, error = await error_of("emit_lazily")
    assert error_type == "Reject"
    assert error.startswith("a stage in a worker process must emit a list, got list_iterator; write")


@pytest.mark.parametrize(
    ("do", "said"),
    [
        ("exit", "exited with status 3"),
        ("exit_well", "exited with status 0"),
        ("segfault", "was killed by SIGSEGV"),
        ("abort", "was killed by SIGABRT"),
        ("kill", "was killed by SIGKILL, as the system does when memory runs out,"),
        ("close_everything", "closed its socket to the engine, and was killed,"),
    ],
)
async def test_a_process_that_dies_fails_its_message_alone(do, said, tmp_path):
    options = f", processes: 2, config: {{folder: {tmp_path}}}"
    report, recorded = await run_all([{"do": "forward"}, {"do": do}, *[{"do": "forward"}] * 8], options)
    [failure] = report.failures
    assert failure.error_type == "WorkerDiedError"
    assert failure.error == f"worker process of stage r/work {said} while it handled a message"
    assert report.outcomes[Outcome.COMPLETED] == len(recorded.messages) == 9
    assert not any(map(is_running, await pids(tmp_path, "made")))


async def test_a_dead_process_is_noticed_though_its_child_holds_the_socket(tmp_path):
    report, _ = await run_all([{"do": "leave_child_and_die", "folder": str(tmp_path)}, {"do": "forward"}])
    [failure] = report.failures
    assert "exited with status 9" in failure.error
    [child] = await pids(tmp_path, "child")
    with trio.fail_after(10):
        await gone(child)


async def test_a_process_that_died_between_two_messages_fails_none():
    recorded = Recorded()
    async with running(STAGE % ", processes: 1", adapters=adapters_with(recorded), seconds=60) as execution:
        for number in range(3):
            await execution.publish("r", {"do": "who"})
            while len(recorded.messages) <= number or execution.statistics().routes["r"].in_flight:
                await trio.sleep(0.005)
            os.kill(recorded.messages[-1]["pid"], signal.SIGKILL)
            await gone(recorded.messages[-1]["pid"])
        report = await execution.complete()
    assert report.outcomes[Outcome.COMPLETED] == 3
    assert len({message["pid"] for message in recorded.messages}) == 3


async def test_cancellation_kills_the_process_and_what_it_started(tmp_path):
    async with running(STAGE % "", adapters=adapters_with(Recorded()), seconds=60) as execution:
        await execution.publish("r", {"do": "hang_with_child", "folder": str(tmp_path)})
        [pid] = await pids(tmp_path, "hangs")
        [child] = await pids(tmp_path, "child")
        await execution.cancel(0)
        report = await execution.wait_ended()
        assert not is_running(pid)
        await gone(child)
    assert not any(report.outcomes.values())


async def test_a_time_out_kills_the_process_and_the_next_message_has_another(tmp_path):
    options = ", processes: 1, timeout_seconds: 0.5"
    report, recorded = await run_all([{"do": "hang", "folder": str(tmp_path)}, {"do": "who"}], options)
    [failure] = report.failures
    assert failure.error_type == "StageTimeoutError"
    [pid] = await pids(tmp_path, "hangs")
    assert not is_running(pid)
    assert [message["calls"] for message in recorded.messages] == [1]
    assert recorded.messages[0]["pid"] != pid


async def test_waiting_for_a_process_and_starting_one_count_in_no_time_out(tmp_path):
    options = ", processes: 1, max_messages_per_process: 1, timeout_seconds: 1, config: {mark: slow}"
    report, _ = await run_all([{"do": "forward"}] * 3, options)
    assert report.outcomes[Outcome.COMPLETED] == 3


async def test_a_breaker_counts_what_happens_in_a_process():
    text = (
        STAGE % ", processes: 1, circuit_breaker: {minimum_calls: 2, sliding_window_size: 2, wait_duration_seconds: 60}"
    )
    async with running(text, adapters=adapters_with(Recorded()), seconds=60) as execution:
        for _ in range(4):
            await execution.publish("r", {"do": "exit"})
        while execution.statistics().routes["r"].failed < 2:
            await trio.sleep(0.01)
        await trio.sleep(0.05)
        assert execution.statistics().routes["r"].failed == 2
        await execution.cancel(0)


async def test_signals_of_the_terminal_do_not_end_a_process():
    report, _ = await run_all([{"do": "terminate"}] * 3)
    assert report.outcomes[Outcome.COMPLETED] == 3


async def test_what_a_message_sets_in_the_context_is_not_seen_by_the_next():
    _, recorded = await run_all([{"do": "keep"}] * 3, ", processes: 1")
    assert [message["before"] for message in recorded.messages] == ["nothing"] * 3


@pytest.mark.parametrize(
    ("mark", "said"),
    [("unmakeable", "ValueError: not to be made"), ("exits", "exited with status 5 while it was starting")],
)
async def test_an_adapter_that_cannot_be_made_ends_the_start(mark, said, tmp_path):
    registry = registry_of(work=Work)
    config = load(
        registry, f"routes: {{r: {{adapters: [{{type: work, config: {{mark: {mark}, folder: {tmp_path}}}}}]}}}}"
    )
    async with OrchestratorManager(registry=registry) as manager:
        with pytest.raises(ExecutionStartError, match=said):
            await manager.start(config)
    assert not any(map(is_running, await pids(tmp_path, "made")))


async def test_a_start_that_is_cancelled_leaves_no_process(monkeypatch):
    started = []
    start = TrioProcesses.start

    async def noted(self, code, arguments, *, fd):
        process = await start(self, code, arguments, fd=fd)
        started.append(process)
        scope.cancel()
        return process

    monkeypatch.setattr(TrioProcesses, "start", noted)
    registry = registry_of(work=Work)
    async with OrchestratorManager(registry=registry) as manager:
        with trio.CancelScope() as scope:
            await manager.start(load(registry, "routes: {r: {adapters: [{type: work}]}}"))
    assert scope.cancelled_caught
    [process] = started
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("isolation", ["process", "thread"])
async def test_the_stage_says_more_than_the_class(isolation):
    work = {"process": Threaded, "thread": Work}[isolation]
    _, recorded = await run_all([{"do": "who"}], f", isolation: {isolation}", work)
    assert (recorded.messages[0]["pid"] == os.getpid()) is (isolation == "thread")


def test_under_a_virtual_clock_the_work_is_done_here_and_crosses_all_the_same():
    async def main(simulation):
        return await run_all(
            [{"do": "who"}, {"do": "emit"}, {"do": "emit_lazily"}, {"do": "fail_oddly"}], seams=simulation.seams
        )

    report, recorded = in_virtual_time(main, seed=1)
    assert [message["pid"] for message in recorded.messages if "pid" in message] == [os.getpid()]
    assert len(recorded.messages) == 4
    assert {(failure.error_type, failure.error[:28]) for failure in report.failures} == {
        ("Reject", "a stage in a worker process "),
        ("OddError", "odd 3, see"),
    }


async def test_a_message_that_fails_is_tried_again_in_another_process(tmp_path):
    text = "routes: {r: {adapters: [{type: work}], error_handling: {max_retries: 2, retry_delay_seconds: 0.001}}}"
    async with running(text, adapters={"work": Work}, seconds=60) as execution:
        await execution.publish("r", {"do": "segfault"})
        report = await execution.complete()
    [failure] = report.failures
    assert failure.attempts == 3


def test_nothing_is_printed_twice_and_what_is_printed_there_is_seen():
    program = (
        "import trio\n"
        "from support.pipelines import run\n"
        "from support.process_adapters import Work\n"
        "text = 'routes: {r: {adapters: [{type: work, processes: 2}]}}'\n"
        "report = trio.run(lambda: run(text, adapters={'work': Work}, publish=[('r', {'do': 'say'})] * 3))\n"
        "print(report.status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["imported", "said", "said", "said", "completed"]


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_all_processes_drains_the_program(kind, tmp_path):
    adapters = tmp_path / "adapters.py"
    adapters.write_text(
        "import os, time\nfrom pathlib import Path\nfrom factflow_protocols import AdapterResult, PipelineAdapter\n"
        "class Slow(PipelineAdapter):\n"
        "    adapter_type = 'slow'\n    runs_in = 'process'\n"
        "    def process(self, context):\n"
        f"        folder = Path({str(tmp_path)!r})\n"
        "        (folder / f'at-{os.getpid()}').touch()\n"
        "        while not (folder / 'go').exists():\n            time.sleep(0.01)\n"
        "        return AdapterResult.forward()\n"
    )
    pipeline = tmp_path / "pipeline.yaml"
    pipeline.write_text(
        "version: '1.0'\nroutes: {r: {adapters: [{type: slow}]}}\ninit_message: {route: r, payload: {}}\n"
    )
    with trio.fail_after(60):
        command = [str(Path(sys.executable).with_name("factflow")), "run", str(pipeline), "--adapters", str(adapters)]
        async with trio.open_nursery() as nursery:
            process = await nursery.start(
                lambda task_status: trio.run_process(
                    command, capture_stdout=True, capture_stderr=True, check=False, start_new_session=True,
                    task_status=task_status,
                )
            )  # fmt: skip
            [worker] = await pids(tmp_path, "at")
            os.kill(worker, kind)  # as a service manager does, which signals all processes of a service
            process.send_signal(kind)
            await trio.sleep(0.2)
            assert is_running(worker)
            (tmp_path / "go").touch()
        assert process.returncode is not None
        assert process.returncode >= 0
        assert not is_running(worker)


async def test_a_process_ends_with_a_program_that_is_killed(tmp_path):
    program = (
        "import trio\n"
        "from support.pipelines import run\n"
        "from support.process_adapters import Work\n"
        "text = 'routes: {r: {adapters: [{type: work}]}}'\n"
        f"publish = [('r', {{'do': 'hang_with_child', 'folder': {str(tmp_path)!r}}})]\n"
        "trio.run(lambda: run(text, adapters={'work': Work}, publish=publish))\n"
    )
    with trio.fail_after(60):
        process = await trio.lowlevel.open_process(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        )
        [worker] = await pids(tmp_path, "hangs")
        [child] = await pids(tmp_path, "child")
        process.kill()
        await process.wait()
        await gone(worker)
        await gone(child)


@pytest.mark.parametrize("last", ["kill_program", "who"])
async def test_a_process_whose_program_was_killed_ends_with_its_children_and_says_nothing(last, tmp_path):
    """It answers when nobody is left to read (`kill_program`), or waits for the next request."""
    program = (
        "import os, signal, trio\n"
        "from factflow_protocols import AdapterResult\n"
        "from support.pipelines import run\n"
        "from support.process_adapters import Work\n"
        "async def die(context):\n"
        "    if 'made_in' not in context.message:\n"
        "        return AdapterResult.forward()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "text = 'routes: {r: {inbound: {concurrency: 1}, adapters: [{type: work, processes: 1}, {type: die}]}}'\n"
        f"publish = [('r', {{'do': 'leave_child', 'folder': {str(tmp_path)!r}}}), ('r', {{'do': {last!r}}})]\n"
        "trio.run(lambda: run(text, adapters={'work': Work, 'die': die}, publish=publish))\n"
    )
    with trio.fail_after(60):
        died = await trio.run_process(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_stderr=True, check=False,
        )  # fmt: skip
        [child] = await pids(tmp_path, "child")
        await gone(child)
    assert (died.returncode, died.stderr.decode()) == (-signal.SIGKILL, "")


async def test_a_module_of_the_working_directory_is_found(tmp_path, monkeypatch):
    (tmp_path / "beside_the_program.py").write_text("value = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    _, recorded = await run_all([{"do": "find", "module": "beside_the_program"}])
    assert recorded.messages == [{"file": str(tmp_path / "beside_the_program.py")}]
