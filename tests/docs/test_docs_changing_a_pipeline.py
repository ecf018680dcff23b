"""The page "Changing a pipeline": each row of its table, on a file, with the commands that it names."""

import json
import logging
import re

import pytest
import trio
from click.testing import CliRunner
from trio.testing import MockClock

from factflow_engine.cli.root import root
from factflow_engine.config import PipelineConfigLoader
from factflow_engine.errors import ExecutionStartError
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.runtime.report import ExecutionStatus
from factflow_protocols import AdapterResult
from support.clocks import seams_on_trio_time
from support.doc_pages import DOCS, tables
from support.pipelines import registry_of
from support.sqlite_queues import simulated

[TABLE] = tables(DOCS / "changing-a-pipeline.md")
URL = "sqlite:///queue.db"

OLD = """
version: "1.0"
name: old
routes:
  r: {adapters: [{type: forward}], outbound: [{route: work}]}
  work:
    inbound: {concurrency: 1, capacity: 10}
    adapters: [{type: slow}]
    outbound: [{queue: /queue/out}]
init_message: [{route: r, payload: {n: 0}}, {route: r, payload: {n: 1}}, {route: r, payload: {n: 2}}]
"""
COUNTED = OLD.replace("{type: slow}", "{type: count_by_field, name: count, config: {field: n}}, {type: slow}")


async def slow(context):
    await trio.sleep(1)
    if context.message == {"bad": True}:
        raise ValueError("bad")
    return AdapterResult.forward()


class Lives:
    """Processes of one execution id, one after the other, each with a configuration of its own, in virtual time."""

    def __init__(self, folder, caplog):
        self.path = folder / "queue.db"
        self.caplog = caplog
        self.marked = []
        self.registry = registry_of(slow=slow, mark=self._mark)
        self.begun = None

    async def _mark(self, context):
        self.marked.append(context.message)
        return AdapterResult.forward()

    def run(self, text, *, execution_id="x", then=None):
        """Run to the end, or `then`; return the report."""

        async def main():
            queue = simulated(self.path)
            try:
                async with OrchestratorManager(
                    registry=self.registry, queue=queue, seams=seams_on_trio_time()
                ) as manager:
                    config = PipelineConfigLoader(self.registry).load_text(text)
                    execution = await manager.start(config, execution_id=execution_id)
                    self.begun = execution.begun
                    return await (execution.complete() if then is None else then(execution))
            finally:
                await queue.stop()

        self.caplog.clear()
        with self.caplog.at_level(logging.WARNING):
            return trio.run(main, clock=MockClock(autojump_threshold=0))

    def interrupted(self, text=OLD):
        """Leave two of three messages in `work`: the first has ended when the process is drained."""

        async def then(execution):
            await trio.sleep(1.5)
            return await execution.drain(0)

        report = self.run(text, then=then)
        assert (report.status, report.routes["work"].waiting) == (ExecutionStatus.CANCELLED, 2)

    def refused(self, text):
        """Return the reason why a process with this configuration does not start; nothing is consumed."""
        before = self.waiting()
        with pytest.raises(ExecutionStartError) as caught:
            self.run(text)
        assert self.waiting() == before
        return str(caught.value)

    def factflow(self, command):
        """Run a command of the page, with its placeholders filled in and without a question."""
        words = re.sub(r"\bURL\b", URL, command).split()
        assert words[0] == "factflow"
        answer = {"purge": ["--yes"], "forget": ["--yes"], "requeue": ["--all", "--yes"]}.get(words[2], [])
        done = CliRunner().invoke(root, [*words[1:], *answer])
        assert done.exit_code == 0, done.output
        return done.stdout

    def waiting(self):
        lines = json.loads(self.factflow("factflow queue stats URL -o json"))["lines"]
        return {line["queue"]: line["waiting"] for line in lines if line["waiting"]}

    @property
    def warnings(self):
        return [record.getMessage() for record in self.caplog.records if record.levelno == logging.WARNING]


@pytest.fixture
def lives(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    return Lives(tmp_path, caplog)


def helps(row):
    """Return the commands that a row names, with OLD and the like as these tests have them."""
    commands = re.findall(r"`(factflow [^`]*)`", TABLE_BY_CHANGE[row][2])
    return [command.replace("exec:ID:", "exec:x:").replace("--execution ID", "--execution x") for command in commands]


def a_route_is_added(lives, row):
    lives.interrupted()
    report = lives.run(OLD.replace("init_message", "  more: {adapters: [{type: forward}]}\ninit_message"))
    assert (report.orphans, report.routes["work"].completed, report.routes["more"].received) == ((), 2, 0)


def stages_without_state(lives, row):
    lives.interrupted()
    lives.run(OLD.replace("{type: slow}", "{type: mark}, {type: slow}, {type: delay, config: {seconds: 0}}"))
    assert lives.marked == [{"n": 1}, {"n": 2}]


def conditions(lives, row):
    lives.interrupted()
    report = lives.run(
        OLD.replace("{queue: /queue/out}", "{queue: /queue/out, condition: {field: n, operator: eq, value: 2}}")
    )
    assert (report.routes["work"].completed, report.routes["work"].filtered) == (1, 1)


def capacity(lives, row):
    lives.interrupted()
    lowered = OLD.replace("capacity: 10", "capacity: 1")

    async def then(execution):
        await trio.sleep(0.5)
        with trio.move_on_after(0.1) as waits:
            await execution.publish("work", {"n": 3})
        assert waits.cancelled_caught
        return await execution.complete()

    assert lives.run(lowered, then=then).routes["work"].completed == 2


def a_route_is_renamed(lives, row):
    renamed = OLD.replace("  work:", "  new:").replace("route: work", "route: new")
    for remedy in ("name", "inbound", "purge"):
        lives.path.unlink(missing_ok=True)
        lives.interrupted()
        for _ in range(2):
            report = lives.run(renamed)
            assert [(orphan.queue, orphan.messages) for orphan in report.orphans] == [("exec:x:/queue/work", 2)]
            assert any("'exec:x:/queue/work', which no route reads" in warning for warning in lives.warnings)
            assert not lives.begun.published
        if remedy == "name":
            assert lives.run(OLD).routes["work"].completed == 2
        elif remedy == "inbound":
            report = lives.run(renamed.replace("new:\n    inbound: {", "new:\n    inbound: {queue: /queue/work, "))
            assert report.routes["new"].completed == 2
        else:
            [command] = helps(row)
            lives.factflow(command.replace("OLD", "work"))
            assert lives.run(renamed).orphans == ()
            assert lives.begun.published


def dead_letter_queue(lives, row):
    before = OLD.replace("{n: 2}", "{bad: true}") + "error_handling: {max_retries: 0, dead_letter_queue: /queue/dead}\n"
    renamed = before.replace("/queue/dead", "/queue/grave")
    for number, command in enumerate(helps(row)):
        lives.path.unlink(missing_ok=True)
        assert lives.run(before).routes["work"].dead_lettered == 1
        [orphan] = lives.run(renamed).orphans
        assert (orphan.queue, orphan.messages) == ("exec:x:/queue/dead", 1)
        lives.factflow(command.replace("OLD", "dead"))
        if number == 0:
            assert lives.run(renamed.replace("{bad: true}", "{n: 2}")).routes["work"].dead_lettered == 1


def subscription(lives, row):
    topic = 'version: "1.0"\nroutes: {r: {inbound: {queue: /topic/news, subscription: %s, capacity: 2}, adapters: [{type: forward}]}}'
    lives.run(topic % "old")

    async def then(execution):
        with trio.move_on_after(5) as waits:
            for number in range(3):
                await execution.publish("r", {"n": number})
        assert waits.cancelled_caught, "the old subscription is full"
        return await execution.drain(0)

    report = lives.run(topic % "new", then=then)
    [command] = helps(row)
    lives.factflow(command.replace("NAME", "news").replace("ID", "x").replace("OLD", "old"))

    async def after(execution):
        for number in range(3):
            await execution.publish("r", {"n": number})
        return await execution.complete()

    report = lives.run(topic % "new", then=after)
    assert report.routes["r"].completed >= 3


def configured_otherwise(lives, row):
    other = COUNTED.replace("field: n}", "field: n, max_values: 5}")
    lives.interrupted(COUNTED)
    assert lives.run(other).status is ExecutionStatus.COMPLETED
    assert any("stage 'count' is configured otherwise" in warning for warning in lives.warnings)


def renamed_with_state(lives, row):
    lives.interrupted(COUNTED)
    for changed in (COUNTED.replace("name: count", "name: renamed"), OLD):
        assert "no such stage that keeps anything" in lives.refused(changed)
    [command] = helps(row)
    lives.factflow(command.replace("ROUTE/STAGE", "work/count"))
    assert lives.run(OLD).status is ExecutionStatus.COMPLETED


def another_type(lives, row):
    lives.interrupted(COUNTED)
    sink = "{type: write_jsonl, name: count, config: {path: out.jsonl}}"
    other = COUNTED.replace("{type: count_by_field, name: count, config: {field: n}}", sink)
    assert "an adapter of type 'count_by_field'" in lives.refused(other)


def init_message(lives, row):
    changed = OLD.replace("{n: 0}", "{n: 100}")
    lives.interrupted()
    lives.run(changed, then=lambda execution: execution.cancel())
    assert not lives.begun.published
    [command] = helps(row)
    lives.factflow(command)
    assert lives.run(changed).routes["r"].received == 3
    assert lives.begun.published


def pipeline_name(lives, row):
    lives.interrupted()
    report = lives.run(OLD, execution_id="new")
    assert report.routes["work"].received == 3, "it knows nothing of the two that wait"
    assert lives.run(OLD).routes["work"].received == 2


TABLE_BY_CHANGE = {row[0]: row for row in TABLE}
CHECKS = {
    "a route is added": a_route_is_added,
    "stages without state are added, removed, reordered or configured otherwise": stages_without_state,
    "conditions, outbounds, retries, limits": conditions,
    "`capacity` is lowered below what waits": capacity,
    "a route is renamed or removed": a_route_is_renamed,
    "`dead_letter_queue` is renamed": dead_letter_queue,
    "a topic's `subscription` is renamed": subscription,
    "a stage with state is configured otherwise": configured_otherwise,
    "a stage with state is renamed or removed, or its route is": renamed_with_state,
    "a stage with state gets another `type`": another_type,
    "`init_message`": init_message,
    "the pipeline's `name`, where no `--id` is given": pipeline_name,
}


def test_every_row_of_the_table_has_a_check():
    assert [*TABLE_BY_CHANGE] == [*CHECKS]


@pytest.mark.parametrize("row", CHECKS)
def test_a_change_does_what_the_table_says(lives, row):
    CHECKS[row](lives, row)
