"""The place of an error is the user's innermost line, however deep in libraries it was raised."""

import json
import sys

import trio

from factflow_engine import (
    ConditionOperator,
    OperatorRegistry,
    OrchestratorManager,
    PipelineConfigLoader,
    ValidatingAdapterRegistry,
)
from factflow_engine.runtime.stages.failure_place import place_of
from support.pipelines import run

HERE = "test_failure_place.py"


def raised(function):
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError


def test_a_line_of_the_users_is_named_though_the_library_raised():
    line = sys._getframe().f_lineno + 1
    error = raised(lambda: json.loads("no json"))
    assert place_of(error) == f"{HERE}:{line}"


def test_an_error_without_a_line_of_the_users_has_no_place():
    assert place_of(ValueError("never raised")) == ""
    assert place_of(raised(lambda: exec(compile("1/0", "<string>", "exec")))).startswith(HERE)


def test_endless_recursion_has_a_place():
    def deeper():
        deeper()

    assert place_of(raised(deeper)).startswith(HERE)


def test_a_group_has_the_place_of_its_first_error():
    def fail():
        raise ValueError

    inner = [raised(fail), raised(lambda: json.loads("no json"))]
    line = fail.__code__.co_firstlineno + 1
    assert place_of(ExceptionGroup("never raised", inner)) == f"{HERE}:{line}"
    assert place_of(ExceptionGroup("outer", [ExceptionGroup("inner", inner)])) == f"{HERE}:{line}"


def test_an_error_without_a_line_of_the_users_has_the_place_of_its_cause():
    low = raised(lambda: json.loads("no json"))
    outer, other = ValueError("of the engine"), ValueError("of the engine")
    outer.__cause__ = other.__context__ = low
    assert place_of(outer) == place_of(other) == place_of(low) != ""
    other.__suppress_context__ = True
    assert place_of(other) == "", "it was hidden on purpose"
    outer.__cause__ = outer
    assert place_of(outer) == "", "a circle has an end"


def test_a_class_that_overrides_its_traceback_is_not_asked():
    class HostileError(Exception):
        @property
        def __traceback__(self):
            raise RuntimeError

        __cause__ = __context__ = __suppress_context__ = __traceback__

    def fail():
        raise HostileError

    assert place_of(raised(fail)).startswith(HERE)


def test_a_cause_is_not_asked_whether_it_is_true():
    class FalseError(Exception):
        def __bool__(self):
            raise RuntimeError

    def fail():
        raise FalseError

    error = ValueError("of the engine")
    error.__cause__ = raised(fail)
    assert place_of(error) == f"{HERE}:{fail.__code__.co_firstlineno + 1}"


def test_the_name_of_a_file_may_be_long_or_no_text():
    code = compile("1/0", f"/tmp/{'x' * 300}\udc80.py", "exec")
    place = place_of(raised(lambda: exec(code)))
    assert place.endswith("xx\\udc80.py:1")
    assert len(place) < 250


async def test_the_place_of_a_condition_operators_error_is_in_the_operator():
    class Divides(ConditionOperator):
        name = "divides"

        def matches(self, field_value, literal):
            return field_value % literal == 0

    operators = OperatorRegistry()
    operators.register(Divides())
    registry = ValidatingAdapterRegistry()
    config = PipelineConfigLoader(registry, operators=operators).load_text(
        """version: "1.0"
routes: {r: {adapters: [{type: log, condition: {field: n, operator: divides, value: 0}}]}}
init_message: {route: r, payload: {n: 3}}"""
    )
    async with OrchestratorManager(registry=registry, operators=operators) as manager:
        report = await (await manager.start(config)).complete()
    [failure] = report.failures
    assert failure.error_type == "ConditionOperatorError"
    assert failure.place == f"{HERE}:{Divides.matches.__code__.co_firstlineno + 1}"


async def test_a_failure_names_the_line_of_the_adapter():
    def helper(text):
        return json.loads(text)

    lines = []

    async def asks(context):
        lines.append(sys._getframe().f_lineno + 1)
        helper(context.message)

    async def opens(context):
        with trio.fail_after(0):
            await trio.sleep(1)

    report = await run(
        "routes: {r: {adapters: [{type: asks}]}, s: {adapters: [{type: opens}]}, t: {adapters: [{type: call, config: {function: 'json:loads'}}]}}\n"
        "init_message: [{route: r, payload: x}, {route: s, payload: x}, {route: t, payload: x}]",
        adapters={"asks": asks, "opens": opens},
    )
    places = {failure.route: failure.place for failure in report.failures}
    assert places["r"] == f"{HERE}:{helper.__code__.co_firstlineno + 1}", "the innermost"
    assert places["s"].startswith(HERE)
    assert places["t"] == "", "no line of the user's"
