"""What a test says of stages: answers, cases, failures, times, ends, and what it lets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.testing.config_tests.models import RaisedModel
from factflow_engine.testing.config_tests.payloads import PayloadError, from_written, is_same, is_within, to_written
from factflow_engine.testing.config_tests.reading import ConfigTestFileError
from factflow_engine.testing.config_tests.running import Verdict, run_tests
from factflow_engine.testing.config_tests.stubs import StubbedError, error_of
from factflow_engine.testing.config_tests.suites import WAITING
from factflow_protocols import (
    AdapterResult,
    CircuitOpenError,
    Ext,
    Overloaded,
    Reject,
    RetryLater,
    StatefulAdapter,
    Timestamp,
)
from support.pipelines import registry_of
from testing.config_tests.conftest import SHOP

ONE = "[{route: orders, payload: {pieces: 1}}]"
SEND = "  letters/send: {forwards: true}\n"


def stages(price: str, send: str = SEND) -> str:
    return f"stages:\n  orders/price: {price}\n{send}"


@pytest.mark.parametrize(
    ("price", "expect"),
    [
        ("{returns: {total: 1}}", "outputs: {/queue/small: [{total: 1}]}"),
        ("{returns: null}", "outputs: {/queue/small: [null]}"),
        ("{returns: {$bytes: aGVsbG8=}}", "outputs: {/queue/small: [{$bytes: aGVsbG8=}]}"),
        ("{forwards: true}", "outputs: {/queue/small: [{pieces: 1}]}"),
        ("{forwards: true, headers: {a: 1}}", "outputs: {/queue/small: [{payload: {pieces: 1}, headers: {a: 1}}]}"),
        ("{filters: true}", "outcomes: {orders: {filtered: 1}}"),
        ("{emits: [1, {total: 20}, {payload: 3, headers: {b: 2}}]}", "outputs: {/queue/small: [1, {payload: 3, headers: {b: 2}}], /queue/sent: [{total: 20, sent: true}]}\noutcomes: {orders: {completed: 4}}"),
        ("{emits: []}", "outcomes: {orders: {completed: 1}}"),
        ("{emits: [1], raises: broken}", "outputs: {/queue/small: [1]}\nfailures: [{route: orders, text: broken, type: StubbedError}]"),
        ("{raises: {type: TimeoutError, text: slow}}", "failures: [{route: orders, type: TimeoutError, text: slow}]"),
        ("{raises: {type: KeyError, text: slow}}", "failures: [{route: orders, type: KeyError, text: slow}]"),
        ("{raises: {type: Reject, text: no}}", "failures: [{route: orders, type: Reject, text: no}]"),
        ("{returns: 1, fails: 1}", "failures: [{route: orders, type: SimulatedFailureError, error: call 1 of the 1}]"),
        ("{returns: 1, fails: {share: 1}}", "failures: [{route: orders, error: as 1 of its calls do}]"),
        ("{returns: 1, times: 2.5}", "outputs: {/queue/small: [{payload: 1, at: 2.5}]}"),
        ("{returns: 1, times: {lognormal: {median: 1, sigma: 0}}}", "outputs: {/queue/small: [{payload: 1, at: 1}]}"),
        ("{returns: 1, times: {bimodal: {quick: 1, slow: 3, slow_share: 1}}}", "outputs: {/queue/small: [{payload: 1, at: 3}]}"),
        ("{cases: [{input: {pieces: 1}, calls: 1, returns: 1}, {input: {pieces: 1}, returns: 2}]}", "outputs: {/queue/small: [1]}"),
        ("{finishes: {returns: {total: 5}}}", "outputs: {/queue/small: [{total: 5}]}\noutcomes: {orders: {completed: 1, filtered: 1}}"),
        ("{returns: 1, finishes: {emits: [2, 3]}}", "outputs: {/queue/small: [1, 2, 3]}"),
    ],
)  # fmt: skip
def test_an_answer(run, price, expect) -> None:
    result = run(expect, stages=stages(price))
    assert result.passed, result.text()


def test_cases_are_asked_in_order_and_each_so_often_as_it_says(run) -> None:
    price = "{cases: [{input: 1, calls: 2, returns: first}, {when: {field: '@', operator: eq, value: 1}, returns: then}], returns: else}"
    inputs = "[" + ", ".join(f"{{route: orders, payload: {payload}}}" for payload in (1, 1, 1, 1, 2)) + "]"
    result = run("outputs: {/queue/small: [first, first, then, then, else]}", inputs=inputs, stages=stages(price))
    assert result.passed, result.text()


def test_a_call_without_an_answer_is_a_problem_of_its_own(run) -> None:
    result = run("failures: [{route: orders}]", stages=stages("{cases: [{input: 7, returns: 1}]}"))
    assert result.verdict is Verdict.FAIL
    assert [problem.what for problem in result.problems] == ["calls of orders/price for which the test has no answer"]
    assert "+{'pieces': 1}" in result.text()


def test_retries_and_time_limits_are_those_of_the_pipeline(run) -> None:
    sticks = stages(
        "{returns: {total: 20}}",
        "  letters/send: {cases: [{when: {field: '@', operator: exists}, calls: 1, sticks: true}], forwards: true}\n",
    )
    result = run(
        "outputs: {/queue/sent: [{contains: {total: 20}, at: {at_least: 1}}]}\ncalls: {letters/send: 2}",
        stages=sticks,
        more="faults: []",
    )
    assert result.verdict is Verdict.FAIL  # nothing cancels it: the route has no time limit
    assert "everything ends" in result.text()


def test_calls_that_a_time_limit_cancels_are_counted(suite) -> None:
    limited = SHOP.replace("retry_delay_seconds: 1,", "retry_delay_seconds: 1, timeout_seconds: 5,")
    [result] = run_tests(
        suite(
            stages("{returns: {total: 20}}", "  letters/send: {sticks: true}\n")
            + f"tests:\n  - name: it\n    inputs: {ONE}\n    expect:\n"
            "      calls: {letters/send: [{total: 20}, {total: 20}]}\n"
            "      dead_letters: [{route: letters}]\n",
            limited,
        )
    )
    assert result.passed, result.text()


def test_a_fault_happens(run) -> None:
    fault = "faults: [{fault: fail_stage, stage: letters/send, nth: 1}]"
    inputs = "[{route: orders, payload: {pieces: 3}}]"
    result = run(
        "outputs: {/queue/sent: [{contains: {total: 20}, at: {at_least: 0.1}}]}\ncalls: {letters/send: 2}",
        inputs=inputs,
        more=fault,
        stages=stages("{returns: {total: 20}}"),
    )
    assert result.passed, result.text()


def test_the_tests_own_stages_replace_those_of_the_file(run) -> None:
    result = run(
        "outputs: {/queue/small: [2]}",
        stages=stages("{returns: 1, times: 5}"),
        more="stages: {orders/price: {returns: 2}}",
    )
    assert result.passed, result.text()
    assert result.seconds == 0


def test_a_stubbed_stage_is_neither_made_nor_opened(suite) -> None:
    class Explosive(StatefulAdapter):
        def __init__(self) -> None:
            raise AssertionError("made")

        async def process(self, context):
            raise AssertionError("called")

    text = (
        f"{stages('{returns: 1}')}tests:\n  - {{name: it, inputs: {ONE}, expect: {{outputs: {{/queue/small: [1]}}}}}}\n"
    )
    [result] = run_tests(suite(text, registry=registry_of(**{"acme.price": Explosive})))
    assert result.passed, result.text()


def test_a_stage_that_is_not_stubbed_is_called(suite) -> None:
    async def price(context):
        return AdapterResult(message={"total": context.message["pieces"] * 2})

    text = f"stages: {{orders/price: {{times: 1}}, letters/send: {{forwards: true}}}}\ntests:\n  - {{name: it, inputs: {ONE}, expect: {{outputs: {{/queue/small: [{{payload: {{total: 2}}, at: 1}}]}}}}}}\n"
    [result] = run_tests(suite(text, registry=registry_of(**{"acme.price": price})))
    assert result.passed, result.text()


def test_an_adapter_that_reads_files_is_called_if_the_test_allows_it(suite, tmp_path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    pipeline = """
version: "1.0"
routes:
  find: {adapters: [{type: walk_directory, config: {root: in}}], outbound: [{route: read}]}
  read: {adapters: [{type: read_jsonl}], outbound: [{queue: /queue/x, external: true}]}
"""
    text = "allow: [find/walk_directory, read/read_jsonl]\ntests:\n  - {name: it, inputs: [{route: find, payload: 1}], expect: {outputs: {/queue/x: [{contains: {n: 1}}, {contains: {n: 2}}]}}}\n"
    [result] = run_tests(suite(text, pipeline))
    assert result.passed, result.text()


@pytest.mark.parametrize("kind", sorted(WAITING))
def test_an_adapter_that_waits_for_the_world_is_never_called(suite, kind) -> None:
    config = {
        "http_request": "{url: 'https://example.org/'}",
        "write_jsonl": "{path: x.jsonl}",
        "write_sqlite": "{path: x.db, table: x}",
    }.get(kind, "{}")
    pipeline = f"version: '1.0'\nroutes: {{out: {{adapters: [{{type: {kind}, config: {config}}}]}}}}\n"
    text = f"allow: [out/{kind}]\ntests:\n  - {{name: it, inputs: [{{route: out, payload: 1}}], expect: {{}}}}\n"
    with pytest.raises(ConfigTestFileError, match=r"T108 .* waits for threads or sockets, and virtual time does not"):
        suite(text, pipeline)


def test_a_pipeline_that_cannot_start_is_an_error(suite) -> None:
    class Broken(StatefulAdapter):
        async def open(self, stage):
            raise OSError("no such server")

        async def process(self, context):
            return None

    text = f"stages: {{letters/send: {{forwards: true}}}}\ntests:\n  - {{name: it, inputs: {ONE}, expect: {{}}}}\n"
    [result] = run_tests(suite(text, registry=registry_of(**{"acme.price": Broken})))
    assert result.verdict is Verdict.ERROR
    assert "no such server" in result.text()


def test_secrets_of_the_test_are_hidden(suite) -> None:
    pipeline = 'version: "1.0"\nroutes: {out: {adapters: [{type: set_fields, config: {fields: {key: "${API_KEY}"}}}], outbound: [{queue: /queue/x, external: true}]}}\n'
    text = "environment: {API_KEY: hunter2}\ntests:\n  - {name: it, inputs: [{route: out, payload: {}}], expect: {}}\n"
    [result] = run_tests(suite(text, pipeline))
    assert not result.passed
    assert "${API_KEY}" in result.text()
    assert "hunter2" not in result.text() + result.trace


def test_a_run_is_a_function_of_its_seed(suite) -> None:
    text = f"{stages('{returns: 1, times: {lognormal: {median: 1}}}')}tests:\n  - {{name: it, seed: 3, inputs: {ONE}, expect: {{outputs: {{/queue/small: [1]}}}}}}\n"
    opened = suite(text)
    results = [*run_tests(opened, seeds=3), *run_tests(opened, seeds=3)]
    assert [each.seed for each in results] == [3, 4, 5, 3, 4, 5]
    assert results[:3] == results[3:]
    assert len({each.trace for each in results}) == 3


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        ({"type": "Reject"}, Reject), ({"type": "RetryLater", "delay": 2.0}, RetryLater), ({"type": "Overloaded"}, Overloaded),
        ({"type": "CircuitOpenError"}, CircuitOpenError), ({"type": "ValueError"}, ValueError), ({"type": "KeyError"}, KeyError),
        ({}, StubbedError), ({"type": "UnicodeDecodeError"}, StubbedError), ({"type": "ExceptionGroup"}, StubbedError),
        ({"type": "HttpError"}, StubbedError), ({"type": "HttpError", "bases": ("OwnError", "OSError")}, OSError),
        ({"type": "open"}, StubbedError), ({"type": "SystemExit"}, StubbedError),
    ],
)  # fmt: skip
def test_an_exception_is_of_its_class(raised, kind) -> None:
    error = error_of(RaisedModel(text="it broke", **raised))
    assert isinstance(error, kind)
    assert type(error).__name__ == raised.get("type", "StubbedError")
    assert "it broke" in str(error)
    assert "OwnError" in [cls.__name__ for cls in type(error).__mro__] or "bases" not in raised


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=5) | st.binary(max_size=5)
    | st.builds(Timestamp, st.integers(0, 2**33), st.integers(0, 999_999_999)) | st.builds(Ext, st.integers(0, 127), st.binary(max_size=4)),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["a", "$bytes", "$map", "$ext", "$timestamp", "payload"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(VALUES)
def test_what_is_written_is_read_back(value) -> None:
    assert is_same(from_written(to_written(value)), value)
    assert is_within(value, value)


@given(VALUES, VALUES)
def test_values_are_the_same_one_way_and_the_other(one, other) -> None:
    assert is_same(one, other) == is_same(other, one)
    if is_same(one, other):
        assert is_within(one, other)


@pytest.mark.parametrize(
    "pair",
    [
        (1, True),
        (0, False),
        (1, "1"),
        (b"a", "a"),
        ([1, 2], Timestamp(1, 2)),
        ({"a": 1}, {"a": 1, "b": 2}),
        ([1], [1, 1]),
    ],
)
def test_values_that_are_not_the_same(pair) -> None:
    assert not is_same(*pair)


def test_a_part_of_a_map_is_within_it() -> None:
    assert is_within({"a": [{"b": 1}]}, {"a": [{"b": 1.0, "c": 2}], "d": 3})
    assert not is_within({"a": [{"b": 1}]}, {"a": [{"b": 1}, {"b": 1}]})
    assert not is_within({"a": None}, {})


@pytest.mark.parametrize(
    "written", [{"$bytes": 1}, {"$timestamp": [1]}, {"$ext": [1, 2]}, {"$map": []}, {"$timestamp": [True, 1]}]
)
def test_a_malformed_mark_is_refused(written) -> None:
    with pytest.raises(PayloadError, match=r"^\$\w+: expected "):
        from_written(written)


def test_the_registry_is_left_as_it_was(suite) -> None:
    registry = ValidatingAdapterRegistry()
    before = registry.types()
    text = (
        f"{stages('{returns: 1}')}tests:\n  - {{name: it, inputs: {ONE}, expect: {{outputs: {{/queue/small: [1]}}}}}}\n"
    )
    [result] = run_tests(suite(text, registry=registry))
    assert result.passed
    assert registry.types() == before


DURABLE = """\
stages:
  orders/price: {returns: {total: 20}, times: 0.5}
  letters/send: {forwards: true, times: 2}
tests:
  - name: a crash loses nothing
    queue: broker://
    processes: 2
    inputs: [{route: orders, payload: {n: 1}}, {route: orders, payload: {n: 2}, at: 0.2}]
    faults: [{fault: crash, process: 0, at: 1.0}]
    expect:
      outputs: {/queue/sent: {count: 2}}
      outcomes: {orders: {completed: 2}, letters: {completed: 2}}
  - name: a power cut loses nothing
    queue: sqlite://
    inputs: [{route: orders, payload: {n: 1}}]
    faults: [{fault: power_cut, at: 1.0}]
    expect: {outputs: {/queue/sent: {count: 1}}}
  - name: the end of a stage is said, whoever says it
    queue: broker://
    stages: {orders/price: {filters: true, finishes: {returns: {total: 30}}}}
    inputs: [{route: orders, payload: {n: 1}}, {route: orders, payload: {n: 2}, at: 1.2}]
    faults: [{fault: crash, process: 0, at: 1.1}]
    expect: {outputs: {/queue/sent: [{contains: {total: 30}}]}}
"""


def test_messages_on_a_queue_that_outlives_processes(suite) -> None:
    results = list(run_tests(suite(DURABLE), seeds=3))
    assert [result.text() for result in results if not result.passed] == []
    assert len({result.trace for result in results}) == 9


def test_a_fault_that_the_queue_cannot_have_is_an_error(suite) -> None:
    [result] = run_tests(
        suite(DURABLE.replace("queue: sqlite://", "queue: memory://")), only="a power cut loses nothing"
    )
    assert result.verdict is Verdict.ERROR
    assert "PowerCut" in result.text()
