"""Executions that announce themselves: what is sent of each end, and that no receiver fails or delays one."""

import json
from collections import Counter

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from factflow_engine import ConfigurationError
from factflow_engine.config import PipelineConfigLoader
from factflow_engine.lineage import openlineage
from factflow_engine.lineage.openlineage.targets import TargetError
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.testing import in_virtual_time
from factflow_protocols import AdapterResult, StatefulAdapter
from support.endpoints import Endpoint
from support.interrupts import CancelAtStep
from support.openlineage_schema import check_event
from support.pipelines import load, registry_of, running

ROUTES = """
name: shop
lineage: {mode: "off", openlineage: {url: "URL", finish_seconds: 3, timeout_seconds: 100}}
routes:
  first: {adapters: [{type: TYPE}], outbound: [{route: second}]}
  second: {adapters: [{type: forward}]}
"""
EVENTS = 6


def text(url="https://receiver/x", stage="forward"):
    return ROUTES.replace("URL", url).replace("TYPE", stage)


async def wait_a_second(context):
    await trio.sleep(1)
    return AdapterResult.forward()


class Broken(StatefulAdapter):
    async def open(self, context):
        raise OSError("no such device")

    async def process(self, context):
        return AdapterResult.forward()


REGISTRY = registry_of(wait_a_second=wait_a_second, broken=Broken)


class Receiver:
    """A target that takes events, after `seconds` each, fails, or never answers."""

    def __init__(self, kind="take", seconds=0.0):
        self.kind = kind
        self.seconds = seconds
        self.events = []

    async def send(self, events):
        if self.kind == "hang":
            await trio.sleep_forever()
        if self.kind == "fail":
            raise TargetError("https://receiver/x answered 503")
        if self.kind == "defect":
            raise RuntimeError("a defect")
        for number, event in enumerate(events):
            try:
                await trio.sleep(self.seconds)
            except trio.Cancelled:
                if self.kind == "swallow":
                    raise TargetError("https://receiver/x: broken", sent=number) from None
                raise
            self.events.append(event)

    def said(self):
        return [(event["eventType"], event["job"]["name"]) for event in self.events]


def simulated(receiver, monkeypatch, *, stage="wait_a_second", after=None, cancelled=None):
    """Run in virtual time; return the report, the time from the request to end until the end, and the error of a start."""
    monkeypatch.setattr(openlineage, "open_target", lambda *_, **__: receiver)

    async def main(simulation):
        async with OrchestratorManager(registry=REGISTRY, seams=simulation.seams) as manager:
            execution = await manager.start(load(REGISTRY, text(stage=stage)))
            await execution.publish("first", {"n": 1})
            if after is not None:
                await trio.sleep(after)
            before = trio.current_time()
            report = await (execution.complete() if cancelled is None else execution.cancel(cancelled))
            return report, trio.current_time() - before

    return in_virtual_time(main, seed=0)


START = [("START", "shop"), ("START", "shop.first"), ("START", "shop.second")]


def ended(kind):
    return [(kind, "shop.first"), (kind, "shop.second"), (kind, "shop")]


def test_start_and_completion_are_announced_with_the_counts_of_the_report(monkeypatch):
    receiver = Receiver()
    report, seconds = simulated(receiver, monkeypatch)
    assert receiver.said() == START + ended("COMPLETE")
    assert seconds == 1.0
    assert report.close_errors == ()
    for event in receiver.events:
        check_event(event)
    first = receiver.events[3]
    assert first["inputs"][0]["inputFacets"]["inputStatistics"]["rowCount"] == report.routes["first"].received == 1
    assert first["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == report.routes["first"].emitted == 1
    assert receiver.events[0]["run"]["runId"].replace("-", "") == report.execution_id


def test_a_route_named_like_a_secret_keeps_its_counts_and_not_its_name(monkeypatch):
    receiver = Receiver()
    monkeypatch.setenv("PW", "second")
    monkeypatch.setattr(openlineage, "open_target", lambda *_, **__: receiver)

    async def main(simulation):
        async with OrchestratorManager(registry=REGISTRY, seams=simulation.seams) as manager:
            execution = await manager.start(load(REGISTRY, "description: ${PW}\n" + text()))
            await execution.publish("first", {"n": 1})
            await execution.complete()

    in_virtual_time(main, seed=0)
    [event] = [
        each for each in receiver.events if each["job"]["name"] == "shop.${PW}" and "COMPLETE" in each["eventType"]
    ]
    assert event["inputs"][0]["inputFacets"]["inputStatistics"]["rowCount"] == 1
    assert "second" not in json.dumps(receiver.events)


def test_the_start_is_announced_while_the_execution_runs(monkeypatch):
    receiver = Receiver()
    monkeypatch.setattr(openlineage, "open_target", lambda *_, **__: receiver)

    async def main(simulation):
        async with OrchestratorManager(registry=REGISTRY, seams=simulation.seams) as manager:
            await manager.start(load(REGISTRY, text()))
            await trio.sleep(1)
            return receiver.said()

    assert in_virtual_time(main, seed=0) == START


def test_a_cancelled_execution_is_aborted_and_says_why(monkeypatch):
    receiver = Receiver()
    report, _ = simulated(receiver, monkeypatch, after=0.5, cancelled=0)
    assert report.status == "cancelled"
    assert receiver.said() == START + ended("ABORT")
    assert receiver.events[-1]["run"]["facets"]["errorMessage"]["message"] == report.error


def test_an_execution_that_does_not_start_is_announced_as_failed(monkeypatch):
    receiver = Receiver()
    with pytest.raises(Exception, match="no such device"):
        simulated(receiver, monkeypatch, stage="broken")
    assert receiver.said() == START + ended("FAIL")
    assert "no such device" in receiver.events[-1]["run"]["facets"]["errorMessage"]["message"]


@pytest.mark.parametrize(
    ("kind", "seconds", "why"),
    [
        ("hang", 3.0, "there was no answer within 3 s"),
        ("fail", 3.0, "https://receiver/x answered 503"),
        ("defect", 0.0, "RuntimeError: a defect"),
    ],
)
def test_a_receiver_that_does_not_take_events_delays_the_end_by_the_budget(monkeypatch, caplog, kind, seconds, why):
    report, took = simulated(Receiver(kind), monkeypatch)
    assert report.status == "completed"
    assert took == 1.0 + seconds
    unsent = f"OpenLineage: {EVENTS} of {EVENTS} events could not be sent: {why}"
    assert report.close_errors == (unsent,)
    assert [record.getMessage() for record in caplog.records] == [f"execution {report.execution_id}: {unsent}"]


@given(
    st.sampled_from(["take", "hang", "fail", "defect", "swallow"]),
    st.floats(0, 2),
    st.floats(0, 5),
    st.sampled_from([None, 0.0, 0.2]),
)
@settings(max_examples=60)
def test_whatever_the_receiver_does_the_end_comes_within_the_budget(kind, seconds, after, cancelled):
    with pytest.MonkeyPatch.context() as monkeypatch:
        receiver = Receiver(kind, seconds)
        report, took = simulated(receiver, monkeypatch, after=after, cancelled=cancelled)
    assert took <= 3 + (1 if cancelled is None else cancelled) + 1e-6
    assert report.error is None or cancelled is not None
    distinct = Counter(receiver.said())
    assert bool(report.close_errors) == (len(distinct) < EVENTS)


@pytest.mark.parametrize(("kind", "seconds"), [("take", 0.1), ("hang", 0.0), ("fail", 0.0), ("swallow", 0.1)])
def test_cancelled_at_any_step_it_is_announced_or_reported(monkeypatch, kind, seconds):
    config = load(REGISTRY, text())
    step, has_ended = 0, False
    while not has_ended:
        step += 1
        receiver = Receiver(kind, seconds)
        monkeypatch.setattr(openlineage, "open_target", lambda *_, receiver=receiver, **__: receiver)
        started = []

        async def main(simulation, step=step, started=started):
            scope = trio.CancelScope()
            instrument = CancelAtStep(scope, step)
            trio.lowlevel.add_instrument(instrument)
            try:
                with scope:
                    async with OrchestratorManager(registry=REGISTRY, seams=simulation.seams) as manager:
                        execution = await manager.start(config)
                        started.append(execution)
                        await execution.publish("first", {"n": 1})
                        await execution.complete()
            finally:
                trio.lowlevel.remove_instrument(instrument)
            return instrument.left > 0, trio.current_time()

        has_ended, took = in_virtual_time(main, seed=0)
        assert took <= 1 + 3 + 1e-6
        for execution in started:
            report = execution.report
            said = dict.fromkeys(receiver.said())
            kinds = {"completed": "COMPLETE", "cancelled": "ABORT"}
            if report.close_errors:
                assert len(said) < EVENTS
            else:
                assert list(said) == START + ended(kinds[report.status])
    assert step > 10


async def test_events_of_several_executions_are_lines_of_one_file(tmp_path):
    path = tmp_path / "events.jsonl"
    for _ in range(2):
        async with running(text(f"file://{path}")) as execution:
            assert (await execution.complete()).close_errors == ()
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for event in events:
        check_event(event)
    assert Counter(event["eventType"] for event in events) == {"START": 6, "COMPLETE": 6}
    assert len({event["run"]["runId"] for event in events}) == 6


async def test_events_reach_an_endpoint_with_the_token_and_nothing_shows_it(nursery, monkeypatch, caplog):
    monkeypatch.setenv("RECEIVER_TOKEN", "t0ken-of-the-test")
    endpoint = await Endpoint.started(nursery, [200, 403], body=b"t0ken-of-the-test is not known")
    config = text(endpoint.url).replace("finish_seconds", 'api_key: "${RECEIVER_TOKEN}", finish_seconds')
    async with running(config) as execution:
        report = await execution.complete()
    assert len(endpoint.requests) == EVENTS
    assert all("Authorization: Bearer t0ken-of-the-test" in head for head, _ in endpoint.requests)
    [unsent] = report.close_errors
    assert unsent == (
        f"OpenLineage: 1 of {EVENTS} events could not be sent: {endpoint.url} answered 403: "
        "${RECEIVER_TOKEN} is not known"
    )
    assert "t0ken" not in caplog.text
    assert "t0ken" not in "".join(body.decode() for _, body in endpoint.requests)


async def test_an_endpoint_that_hangs_ends_with_the_budget(nursery):
    endpoint = await Endpoint.started(nursery, ["hang"] * 9)
    async with running(text(endpoint.url).replace("finish_seconds: 3", "finish_seconds: 0.2")) as execution:
        report = await execution.complete()
    assert report.status == "completed"
    assert report.close_errors[0].endswith("events could not be sent: there was no answer within 0.2 s")


@pytest.mark.parametrize("url", ["events.jsonl", "https://user:secret@host/x", "ftp://host/x"])
def test_a_url_that_cannot_be_used_is_a_finding(url):
    with pytest.raises(ConfigurationError) as caught:
        PipelineConfigLoader(REGISTRY).load_text(f'version: "1.0"\n{text(url)}')
    [found] = caught.value.findings
    assert found.path == "lineage.openlineage.url" or found.path == "lineage.openlineage"
    assert "secret" not in str(caught.value)
