"""Values of the environment are in nothing that an execution prints or stores."""

import json
import traceback

import pytest

from factflow_engine.errors import ExecutionStartError
from factflow_engine.runtime.execution.manager import OrchestratorManager
from factflow_engine.runtime.execution.redaction import Redaction
from factflow_protocols import PipelineAdapter, QueueClosedError
from support.pipelines import load, registry_of, run, running

PASSWORD = "hunter2secret"
KEY = "-----BEGIN KEY-----\nMIIE'quoted\"\\x\n-----END KEY-----"
LONG = "s3cret-of-some-length-" * 40


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("PW", PASSWORD)
    monkeypatch.setenv("KEY", KEY)
    monkeypatch.setenv("L_PW", LONG)


def failing(error):
    async def fail(context):
        raise error

    return fail


def written(text, error_handling=""):
    return f"description: {json.dumps(text)}\nroutes: {{r: {{adapters: [{{type: fail}}]{error_handling}}}}}"


async def failure_of(text, error, payload=1):
    report = await run(written(text), adapters={"fail": failing(error)}, publish=[("r", payload)])
    [failure] = report.failures
    return failure


async def test_a_value_is_hidden_though_more_stands_around_it_where_it_is_named():
    failure = await failure_of("postgres://u:${PW}@db", OSError(f"password {PASSWORD} rejected"))
    assert failure.error == "password ${PW} rejected"


async def test_a_value_is_not_in_a_dead_letter():
    async with (
        running(
            written("postgres://u:${PW}@db", ", error_handling: {dead_letter_queue: /queue/dead}"),
            adapters={"fail": failing(OSError(f"password {PASSWORD} rejected"))},
        ) as execution,
        execution.subscribe("/queue/dead") as letters,
    ):
        await execution.publish("r", 1)
        [letter] = await letters.receive(1)
        assert letter.message.headers["dead_letter"]["error"] == "password ${PW} rejected"
        await letters.settle([letter])
        await execution.complete()
        with pytest.raises(QueueClosedError):
            await letters.receive(1)


async def test_a_value_is_hidden_though_it_is_quoted():
    failure = await failure_of("${KEY}", KeyError(KEY), payload={"key": KEY, "json": json.dumps({"key": KEY})})
    assert failure.error == "'${KEY}'"
    assert "${KEY}" in failure.payload_preview
    assert "MIIE" not in failure.payload_preview


@pytest.mark.parametrize("before", [1000, 1500, 1990, 1999, 2000, 3000])
async def test_no_part_of_a_value_is_shown_where_an_error_is_cut(before):
    failure = await failure_of("${L_PW}", OSError("." * before + LONG))
    assert "s3cr" not in failure.error
    assert len(failure.error) <= 2000
    group = ExceptionGroup("two", [OSError("." * before), OSError(LONG), ValueError("third")])
    assert "s3cr" not in (await failure_of("${L_PW}", group)).error


async def test_only_secrets_are_hidden(monkeypatch):
    """Hiding each variable's value turned every `8080` and every region of a report into a reference."""
    monkeypatch.setenv("REGION", "europe")
    assert (await failure_of("${REGION}", OSError("no europe"))).error == "no europe"
    assert (await failure_of("${secret:REGION}", OSError("no europe"))).error == "no ${secret:REGION}"


async def test_a_default_is_no_secret():
    assert (await failure_of("${NOT_SET:anonymous}", OSError("anonymous was refused"))).error == "anonymous was refused"


async def test_names_for_people_show_what_was_written():
    async with running(
        'name: "p ${PW}"\nroutes: {r: {name: "n ${PW} ${NOT_SET:x}", adapters: [{type: forward}]}}'
    ) as execution:
        assert execution.statistics().routes["r"].name == "n ${PW} x"
        report = await execution.complete()
    assert report.name == "p ${PW}"
    assert PASSWORD not in repr(report)


async def test_a_traceback_in_which_every_line_is_indented_shows_nothing_of_a_value():
    config = load(registry_of(), "description: ${KEY}\nroutes: {r: {adapters: [{type: forward}]}}")
    try:
        raise ExceptionGroup("some", [OSError(f"cannot use {KEY}")])
    except ExceptionGroup as error:
        trace = Redaction(config).trace(error)
    assert "cannot use ${KEY}" in trace
    assert "MIIE" not in trace


async def test_what_a_start_error_was_raised_from_shows_no_value(monkeypatch):
    monkeypatch.setenv("TOKEN", "s3cr3t-token-value")

    class Refuses(PipelineAdapter):
        def __init__(self):
            raise ValueError("cannot use token s3cr3t-token-value")

        async def process(self, context):
            return None

    registry = registry_of(refuses=Refuses)
    config = load(registry, "routes: {r: {name: '${TOKEN}', adapters: [{type: refuses}]}}")
    async with OrchestratorManager(registry=registry) as manager:
        with pytest.raises(ExecutionStartError, match=r"\$\{TOKEN\}") as caught:
            await manager.start(config)
    shown = "".join(traceback.format_exception(caught.value))
    assert "s3cr3t" not in shown
    assert "cannot use token ${TOKEN}" in shown
