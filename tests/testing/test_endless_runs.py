"""Runs that never end: they are stopped, or left, named and made small."""

import contextlib
import json
import re
import subprocess
import sys
import tempfile
import textwrap

import pytest
import trio

from factflow_engine.testing import simulate
from factflow_engine.testing.simulation import (
    StageModel,
    explore,
    playing,
)
from factflow_protocols import AdapterResult
from support.pipelines import registry_of
from testing.test_simulate import HEAD, SHOP, price


def test_a_circle_that_takes_no_time_is_stopped():
    text = HEAD + "routes:\n  a: {adapters: [{type: forward}], outbound: [{route: a}]}\n"
    report = simulate(text, registry=registry_of(), inputs=[("a", 1)])
    assert "time passes" in [broken.name for broken in report.broken]
    assert not report.ended


@pytest.mark.parametrize("queue", ["memory://", "broker://", "sqlite://"])
@pytest.mark.parametrize("stopped", [{"until": 100}, {"timeout_seconds": 2}], ids=str)
def test_a_run_whose_stage_goes_on_whatever_cancels_it_is_left(monkeypatch, tmp_path, queue, stopped):
    async def stubborn(context):
        while True:
            with contextlib.suppress(BaseException):
                await trio.sleep(1)

    monkeypatch.setattr(playing, "MOST_READINGS", 5_000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    timeout = {name: stopped[name] for name in stopped if name == "timeout_seconds"}
    stage = json.dumps({"name": "one", "type": "stubborn", **timeout})
    text = HEAD + f"routes:\n  a: {{adapters: [{stage}]}}\n"
    options = {"registry": registry_of(stubborn=stubborn), "inputs": {"a": [1]}, "until": stopped.get("until")}
    report = simulate(text, queue=queue, **options)
    assert not report.ended
    last = report.broken[-1]
    assert last.name == "everything ends"
    assert re.search(r"^a/one goes on with \w{32} although it was cancelled: let `trio.Cancelled` pass", last.text)
    assert str(simulate(text, queue=queue, **options).trace) == str(report.trace)
    assert not list(tmp_path.iterdir()), "its files are removed"


def test_a_stage_that_is_shielded_for_long_is_waited_for():
    async def patient(context):
        with trio.CancelScope(shield=True):
            await trio.sleep(3_000)

    text = HEAD + "routes:\n  a: {adapters: [{type: patient}]}\n"
    report = simulate(text, registry=registry_of(patient=patient), inputs={"a": [1]}, until=5).check()
    assert report.seconds == 3_000


CIRCLE = (
    HEAD
    + """\
routes:
  a:
    adapters: [{type: pause}]
    outbound: [{route: b, condition: {field: n, operator: gt, value: 0}}]
  b:
    adapters: [{type: pause}]
    outbound: [{route: a, condition: {field: n, operator: eq, value: 3}}]
"""
)


async def pause(context):
    await trio.sleep(0.001)
    return AdapterResult.forward()


def test_a_circle_in_which_little_time_passes_is_found_and_made_small(monkeypatch):
    monkeypatch.setattr(playing, "MOST_WORK", 10_000)
    monkeypatch.setattr(playing, "MOST_WORK_OF_AN_INPUT", 100)
    monkeypatch.setattr(playing, "MOST_READINGS", 10_000)
    options = {"registry": registry_of(pause=pause), "inputs": {"a": [{"n": n} for n in range(6)]}}
    [failure] = explore(CIRCLE, **options).failures
    assert {broken.name for broken in failure.broken} <= {"everything ends", "time passes"}
    assert [each.payload for each in failure.inputs] == [{"n": 3}]
    assert simulate(CIRCLE, until=60, **options).ok, "with an end of its own, nothing is to end by itself"


def test_what_a_run_that_was_left_keeps_does_not_hold_the_program_at_its_end():
    program = textwrap.dedent(
        """
        import trio
        from factflow_engine.testing import simulate, validating_registry
        from factflow_engine.testing.simulation import playing

        async def stubborn(context):
            while True:
                try:
                    await trio.sleep(1)
                except BaseException:
                    pass

        playing.MOST_READINGS = 5_000
        text = "version: '1.0'\\nroutes:\\n  a: {adapters: [{name: one, type: stubborn}]}\\n"
        report = simulate(text, registry=validating_registry(stubborn), inputs={"a": [1]}, until=9)
        print(report.broken[-1].name)
        """
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "everything ends\n"
    assert ran.stderr == ""


def test_a_retry_that_never_ends_is_found():
    text = SHOP.replace("max_retries: 2", "max_retries: 1000, max_delay_seconds: 3600")
    found = explore(
        text,
        seeds=range(3),
        registry=registry_of(price=price),
        models=[StageModel(stage="letters/send", errors=1)],
        inputs={"orders": [{"pieces": n} for n in range(10)]},
    )
    [failure] = found.failures
    assert failure.broken[0].name == "everything ends"
    assert "to be tried again" in failure.broken[0].text
    assert len(failure.inputs) == 1
