"""The place of an error is the user's innermost line, however deep in libraries it was raised."""

import json
import sys

import trio

from factflow_engine.runtime.execution.failure_place import place_of
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
