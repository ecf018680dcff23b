"""A recorded run is a test that passes, whatever the pipeline; and says nothing of the environment's secrets."""

import base64
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from hypothesis import HealthCheck, Phase, assume, event, given, note, settings
from hypothesis import strategies as st

from factflow_engine import ExecutionStatus, OrchestratorManager, PipelineConfigLoader
from factflow_engine.config import InitMessageConfig
from factflow_engine.queues.memory import MemoryQueue
from factflow_engine.storages.memory import MemoryStorage
from factflow_engine.testing import in_virtual_time
from factflow_engine.testing.config_tests.reading import read_tests
from factflow_engine.testing.config_tests.recorded_file import HEAD, RecordingError, recorded_text
from factflow_engine.testing.config_tests.recording import Recording
from factflow_engine.testing.config_tests.running import run_tests
from factflow_engine.testing.config_tests.suites import open_suite
from factflow_engine.testing.strategies import configs, messages, registry_of_examples
from factflow_protocols import AdapterResult, Emit, Ext, Overloaded, Reject, RetryLater, StatefulAdapter, Timestamp
from support.pipelines import registry_of


def record(folder, text, registry, init=None, environ=None, seed=0):
    """Run a pipeline as a program does, under a virtual clock, and return its recording's text and its report."""
    pipeline = Path(folder, "pipeline.yaml")
    pipeline.write_text(text, encoding="utf-8")
    config = PipelineConfigLoader(registry, environ=environ or {}).check(pipeline).config
    assert config is not None
    recording = Recording(config)
    if init is not None:
        recording.init = tuple(init)

    async def run(simulation):
        provider = MemoryQueue()
        async with trio.open_nursery() as nursery:
            async with OrchestratorManager(
                registry=recording.registry(registry), queue=provider, storage=MemoryStorage(), lineage=Nowhere(),
                seams=replace(simulation.seams, around_call=recording.around_call),
            ) as manager:  # fmt: skip
                await recording.collect(provider, "e", nursery)
                execution = await manager.start(config, execution_id="e", init=init)
                report = await execution.complete()
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
            return report

    report = in_virtual_time(run, seed=seed)
    return recorded_text(recording, config, report, pipeline="pipeline.yaml", environ=environ or {}), report


class Nowhere:
    async def write(self, entries, outcomes):
        pass

    async def close(self):
        pass


def results(folder, text, registry, **more):
    file = Path(folder, "run.test.yaml")
    file.write_text(text, encoding="utf-8")
    return list(run_tests(open_suite(read_tests(file), registry), **more))


@given(st.data(), st.integers(0, 1000))
@settings(
    max_examples=20, deadline=None, phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck)
)
def test_a_recorded_run_passes_as_a_test(data, seed) -> None:
    registry = registry_of_examples()
    text = data.draw(configs(registry=registry, routes=(1, 3)))
    loaded = PipelineConfigLoader(registry).check_text(text)
    # Which of two routes takes a message from the queue that they share is a matter of chance.
    assume("W205" not in {finding.code for finding in loaded.findings})
    config = loaded.config
    assert config is not None
    route = data.draw(st.sampled_from(list(config.routes)))
    init = [
        InitMessageConfig(route=route, payload=payload)
        for payload in data.draw(st.lists(messages(), min_size=1, max_size=4))
    ]
    with TemporaryDirectory() as folder:
        try:
            written, report = record(folder, text, registry, init, seed=seed)
        except RecordingError as error:
            note(str(error))
            event(str(error))
            assume(False)
        note(text)
        note(written)
        assert report.status is ExecutionStatus.COMPLETED
        for result in results(folder, written, registry, seeds=2):
            assert result.passed, result.text()


SHOP = """\
version: "1.0"
routes:
  orders:
    adapters: [{type: price}, {type: set_fields, config: {fields: {seen: true}}}]
    outbound_mode: first
    outbound:
      - {queue: /queue/large, external: true, condition: {field: total, operator: gt, value: 10}}
      - {queue: /queue/small, external: true}
    error_handling: {max_retries: 1, retry_delay_seconds: 0.1, timeout_seconds: 5}
"""


def shop(folder, function, *payloads, registry=None, text=SHOP, environ=None, keys=None, headers=None):
    """Record a run of the shop whose prices are a function of the context; return the text, its model and its results."""
    known = registry or registry_of(price=function)
    init = [
        InitMessageConfig(route="orders", payload=payload, key=key, headers=headers or {})
        for payload, key in zip(payloads, keys or [None] * len(payloads), strict=True)
    ]
    written, _ = record(folder, text, known, init, environ)
    ran = results(folder, written, known)
    return written, read_tests(Path(folder, "run.test.yaml")).model, ran


async def price(context):
    return AdapterResult(message={"total": context.message["n"] * 4})


def test_it_says_what_came_in_what_was_answered_and_what_came_out(tmp_path) -> None:
    written, model, [result] = shop(tmp_path, price, {"n": 1}, {"n": 5}, keys=["a", None], headers={"tenant": "x"})
    assert result.passed, result.text()
    assert written.startswith(f"{HEAD}\npipeline: pipeline.yaml\nrecorded: ")
    [test] = model.tests
    assert [(each.route, each.payload, each.key, each.headers) for each in test.inputs] == [
        ("orders", {"n": 1}, "a", {"tenant": "x"}), ("orders", {"n": 5}, None, {"tenant": "x"}),
    ]  # fmt: skip
    assert test.init is False
    assert list(model.stages) == ["orders/price"]  # set_fields is a function of its message: it runs in the test
    assert [(case.input, case.returns) for case in model.stages["orders/price"].cases] == [
        ({"n": 1}, {"total": 4}),
        ({"n": 5}, {"total": 20}),
    ]
    [small] = test.expect.outputs["/queue/small"].messages or ()
    assert (small.payload, small.key, small.headers) == ({"total": 4, "seen": True}, "a", {"tenant": "x"})
    assert test.expect.outcomes["orders"].completed == 2


def test_a_changed_condition_fails_it_with_a_diff(tmp_path) -> None:
    written, _, _ = shop(tmp_path, price, {"n": 1}, {"n": 5})
    (tmp_path / "pipeline.yaml").write_text(SHOP.replace("value: 10", "value: 100"))
    [result] = results(tmp_path, written, registry_of(price=price))
    assert [problem.what for problem in result.problems] == ["outputs of /queue/large", "outputs of /queue/small"]
    assert "-- total: 20\n-  seen: true\n+[]" in result.text()
    assert result.notes == (
        f"{tmp_path}/pipeline.yaml is not the snapshot that was recorded ({written.splitlines()[2][10:22]})",
    )


def test_the_adapters_need_not_be_installed_for_the_test(tmp_path) -> None:
    written, _, _ = shop(tmp_path, price, {"n": 1})
    [result] = results(tmp_path, written, registry_of())
    assert result.passed


def raising(error):
    async def process(context):
        if context.message["n"] == 1 and context.attempt == 1:
            raise error
        return AdapterResult.forward()

    return process


class OwnReject(Reject):
    pass


class OwnError(ConnectionError):
    pass


@pytest.mark.parametrize(
    "error",
    [ValueError("first"), KeyError("first"), OwnError("first"), Reject("no"), OwnReject("no"), RetryLater(0.05, "later"), Overloaded(1, "busy"),
     Overloaded(reason="busy"), ValueError("x" * 5000), ExceptionGroup("several", [ValueError("one")]), UnicodeError("\x1b[31m\n")],
    ids=repr,
)  # fmt: skip
def test_failures_and_instructions_are_told_again(tmp_path, error) -> None:
    _, _, [result] = shop(tmp_path, raising(error), {"n": 1}, {"n": 2})
    assert result.passed, result.text()


@pytest.mark.parametrize(
    "error",
    [
        ValueError("each time"),
        KeyError("each"),
        Overloaded(0, "busy"),
        ValueError("x" * 5000),
        OSError(2, "no such file"),
    ],
    ids=repr,
)
def test_messages_that_fail_for_good_do_so_again(tmp_path, error) -> None:
    async def process(context):
        raise error

    _, model, [result] = shop(tmp_path, process, {"n": 1})
    assert result.passed, result.text()
    assert [(each.route, each.type) for each in model.tests[0].expect.failures] == [("orders", type(error).__name__)]


def sources():
    async def emit_list(context):
        return AdapterResult(
            emitted=[{"total": 1}, Emit({"total": 20}, key="b", headers={"h": 1}), Emit({"payload": 3})]
        )

    async def emit_lazily(context):
        return AdapterResult(emitted=({"total": number} for number in range(8, 13)), headers={"all": 1})

    def emit_in_a_thread(context):
        return AdapterResult(emitted=iter([{"total": 1}, {"total": 2}]))

    def emit_some_iterable(context):
        return AdapterResult(emitted=dict.fromkeys([1, 2]))  # type: ignore[arg-type]

    async def emit_asynchronously(context):
        async def source():
            for number in range(3):
                await trio.sleep(0.1)
                yield number

        return AdapterResult(emitted=source())

    async def emit_and_fail(context):
        def source():
            yield 1
            raise ValueError("then it broke")

        return AdapterResult(emitted=source())

    async def answer_nothing(context):
        return None

    async def answer_wrongly(context):
        return "text"

    async def stick_once(context):
        if context.attempt == 1:
            await trio.sleep_forever()
        return AdapterResult.forward()

    async def say_anything(context):
        values = [
            b"\x00\xff",
            Timestamp(1, 2),
            Ext(5, b"x"),
            float("nan"),
            2**63,
            "\ud7ff\x1b",
            {"$bytes": 1},
            [],
            None,
        ]
        return AdapterResult(emitted=[{"total": value} for value in values])

    def return_a_set(context):
        return AdapterResult(message={1, 2})

    return [value for value in locals().values() if callable(value)]


@pytest.mark.parametrize("function", sources(), ids=lambda function: function.__name__)
def test_every_kind_of_answer_is_told_again(tmp_path, function) -> None:
    _, _, [result] = shop(tmp_path, function, {"n": 1})
    assert result.passed, result.text()


class Counting(StatefulAdapter):
    def __init__(self) -> None:
        self.count = 0

    async def process(self, context):
        self.count += 1

    async def finish(self):
        return AdapterResult(message={"total": self.count}) if self.count else None


def test_what_a_stage_adds_at_its_end_is_told_again(tmp_path) -> None:
    registry = registry_of(price=Counting)
    two = SHOP.replace("[{type: price}, {", "[{type: price}, {name: again, type: price}, {")
    _, model, [result] = shop(tmp_path, None, {"n": 1}, {"n": 2}, registry=registry, text=two)
    assert result.passed, result.text()
    ends = [model.stages[name].finishes for name in ("orders/price", "orders/again")]
    assert [end is not None and end.returns for end in ends] == [{"total": 2}, {"total": 1}]
    assert registry.get("price").adapter_class is Counting


SECRETS = {"API_TOKEN": "tok-12345678", "DB_URL": "postgres://me:pa55word@host/db", "PIN": "271828", "PORT": "8080"}


def test_no_secret_of_the_environment_is_in_the_file(tmp_path) -> None:
    names = " ".join(f"${{{name}}}" for name in SECRETS)
    text = SHOP.replace("{fields: {seen: true}}", f'{{fields: {{seen: "{names}", pin: "${{PIN}}"}}}}')

    async def leaking(context):
        message = {
            "total": SECRETS["API_TOKEN"],
            SECRETS["API_TOKEN"]: [SECRETS["DB_URL"]],
            "b": SECRETS["API_TOKEN"].encode(),
            "pin": 271828,
        }
        if context.message["n"] == 2:
            raise ValueError(f"cannot log in with {SECRETS['API_TOKEN']}")
        return AdapterResult(message=message, headers={"auth": f"Bearer {SECRETS['API_TOKEN']}"})

    written, model, [result] = shop(
        tmp_path, leaking, {"n": 1, "t": SECRETS["API_TOKEN"]}, {"n": 2}, text=text, environ=SECRETS
    )
    for value in ("tok-12345678", "pa55word", "271828", base64.b64encode(b"tok-12345678").decode()):
        assert value not in written
    assert dict(model.environment) == {
        "API_TOKEN": "redacted-API_TOKEN", "DB_URL": "postgres://redacted.invalid/DB_URL", "PIN": "1", "PORT": "8080",
    }  # fmt: skip
    assert result.passed, result.text()


def test_a_run_that_did_not_complete_is_no_test(tmp_path) -> None:
    text = SHOP + "orchestrator: {max_failed_messages: 0}\n"

    async def broken(context):
        raise ValueError

    with pytest.raises(RecordingError, match="the run did not complete: it is failed"):
        record(tmp_path, text, registry_of(price=broken), [InitMessageConfig(route="orders", payload=1)])


def test_a_run_that_is_too_large_is_no_test(tmp_path, monkeypatch) -> None:
    async def many(context):
        return AdapterResult(emitted=[{"total": number} for number in range(30_000)])

    init = [InitMessageConfig(route="orders", payload=1)]
    with pytest.raises(RecordingError, match=r"would have \d+,\d+ values in .* record a run of fewer messages"):
        record(tmp_path, SHOP, registry_of(price=many), init)
    monkeypatch.setattr("factflow_engine.testing.config_tests.recording.MOST_BYTES", 1000)
    with pytest.raises(RecordingError, match="too large together"):
        record(tmp_path, SHOP, registry_of(price=many), init)


def test_failures_that_the_report_leaves_out_make_no_test(tmp_path) -> None:
    async def broken(context):
        raise ValueError

    text = SHOP + "orchestrator: {max_recorded_failures: 1}\n"
    with pytest.raises(RecordingError, match="1 failures are not in its report; let the report keep more"):
        record(
            tmp_path, text, registry_of(price=broken), [InitMessageConfig(route="orders", payload=n) for n in (1, 2)]
        )


def test_dead_letters_are_told_again(tmp_path) -> None:
    async def broken(context):
        raise ValueError("no")

    text = SHOP.replace("timeout_seconds: 5}", "dead_letter_queue: /queue/dead}")
    _, model, [result] = shop(tmp_path, broken, {"n": 1}, {"n": 2}, text=text)
    assert result.passed, result.text()
    [letters] = model.tests[0].expect.dead_letters
    assert (letters.route, letters.count) == ("orders", 2)
    assert len(model.tests[0].expect.outputs["/queue/dead"].messages or ()) == 2


def test_a_recorded_stage_that_is_never_called_says_so(tmp_path) -> None:
    text = SHOP + "  never: {adapters: [{type: price}]}\n"
    _, model, [result] = shop(tmp_path, price, {"n": 1}, text=text)
    assert result.passed
    never = model.stages["never/price"].raises
    assert never is not None
    assert never.text == "not called in the recorded run"
