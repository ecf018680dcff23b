import importlib
import sys

import pytest
from pydantic import ValidationError

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.testing.fakes import FakeContext, outputs
from factflow_protocols import Reject

REGISTRY = ValidatingAdapterRegistry()
FUNCTIONS = """
from factflow_protocols import AdapterResult, Reject

NUMBER = 3

class Tools:
    @staticmethod
    def double(message):
        return message * 2

    def __call__(self, message):
        return "called"

tools = Tools()

def upper(message): return message.upper()
def nothing(message): return None
def letters(message): yield from message
def listed(message): return list(message)
def iterated(message): return iter(message)
def whole(message): return AdapterResult(emitted=[1, 2])
def of_context(context): return [context.route, context.message]
def joined(message, *, sep, times=1): return sep.join([message] * times)
def mutates(message, *, seen): seen.append(message); return seen
def refuses(message): raise Reject("no")
def two(message, other): return message
def lies(message): return coroutine(message)
async def coroutine(message): return message + "!"
async def stream(message):
    for letter in message:
        yield letter
def _private(message): return message
"""


@pytest.fixture(autouse=True)
def functions(tmp_path, monkeypatch):
    (tmp_path / "userlib").mkdir()
    (tmp_path / "userlib" / "__init__.py").write_text("")
    (tmp_path / "userlib" / "steps.py").write_text(FUNCTIONS)
    (tmp_path / "userlib" / "broken.py").write_text("import no_such_module_anywhere\n")
    (tmp_path / "userlib" / "exits.py").write_text("raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "userlib"]:
        del sys.modules[name]


async def call(function, message="ab", type_name="call", **config):
    adapter = REGISTRY.create(type_name, {"function": function, **config})
    return await outputs(adapter, FakeContext(message))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("userlib.steps:upper", ["AB"]),
        ("userlib.steps.upper", ["AB"]),
        ("userlib.steps:Tools.double", ["abab"]),
        ("userlib.steps.Tools.double", ["abab"]),
        ("userlib.steps:tools", ["called"]),
        ("userlib.steps:nothing", []),
        ("userlib.steps:letters", ["a", "b"]),
        ("userlib.steps:iterated", ["a", "b"]),
        ("userlib.steps:listed", [["a", "b"]]),
        ("userlib.steps:whole", [1, 2]),
        ("builtins:len", [2]),
    ],
)
async def test_what_a_function_returns_decides(function, expected):
    assert await call(function) == expected


@pytest.mark.parametrize(("function", "expected"), [("coroutine", ["ab!"]), ("stream", ["a", "b"])])
async def test_async_functions_are_awaited(function, expected):
    assert await call(f"userlib.steps:{function}", type_name="call_async") == expected


async def test_a_function_may_ask_for_the_context():
    assert await call("userlib.steps:of_context", argument="context") == [["route", "ab"]]


async def test_a_function_is_given_its_named_arguments():
    assert await call("userlib.steps:joined", arguments={"sep": "-", "times": 3}) == ["ab-ab-ab"]


async def test_named_arguments_are_each_calls_own():
    adapter = REGISTRY.create("call", {"function": "userlib.steps:mutates", "arguments": {"seen": []}})
    for message in "ab":
        assert await outputs(adapter, FakeContext(message)) == [[message]]


async def test_instructions_pass():
    with pytest.raises(Reject, match="no"):
        await call("userlib.steps:refuses")


async def test_a_plain_function_that_returns_a_coroutine_is_told_so():
    with pytest.raises(TypeError, match="write type: call_async"):
        await call("userlib.steps:lies")


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        ("nowhere", "write package.module:function"),
        ("userlib.steps:", "write package.module:function"),
        ("a b:c", "write package.module:function"),
        ("__import__('os').system('x')", "write package.module:function"),
        ("no_such_package_anywhere:f", "there is no module 'no_such_package_anywhere'"),
        ("no_such_package_anywhere.sub.f", "there is no module 'no_such_package_anywhere'"),
        (".".join(["userlib"] * 120), "'userlib' has no 'userlib"),
        (".".join(["nowhere_at_all"] * 66), "there is no module 'nowhere_at_all'"),
        ("userlib.gone:f", "there is no module 'userlib.gone'"),
        ("userlib.steps:gone", "'userlib.steps' has no 'gone'"),
        ("userlib.steps.gone", "'userlib.steps' has no 'gone'"),
        ("userlib.steps:NUMBER", "is an integer and cannot be called"),
        ("userlib.steps:_private", "private name '_private'"),
        ("userlib.steps:upper.__globals__", "private name '__globals__'"),
        ("userlib.broken:f", "importing 'userlib.broken' failed: ModuleNotFoundError: No module named"),
        ("userlib.broken:f", "userlib/broken.py:1); install the package that has it"),
        ("json.dumpz", "did you mean 'dump' or 'dumps'?"),
        ("userlib.exits:f", "importing 'userlib.exits' failed: SystemExit: 3"),
        ("userlib.steps:two", "cannot be called as f(message)"),
        ("userlib.steps:coroutine", "is asynchronous; write type: call_async"),
        ("userlib.steps:stream", "is asynchronous; write type: call_async"),
    ],
)
def test_a_wrong_function_is_found_when_the_configuration_is(function, problem):
    with pytest.raises(ValidationError) as caught:
        REGISTRY.validate_config("call", {"function": function})
    assert problem in str(caught.value)


def test_a_plain_function_is_refused_by_call_async():
    with pytest.raises(ValidationError, match="write type: call, which calls it in a thread"):
        REGISTRY.validate_config("call_async", {"function": "userlib.steps:upper"})


def test_wrong_named_arguments_are_found_when_the_configuration_is():
    with pytest.raises(ValidationError, match=r"cannot be called as f\(message, spe=\.\.\.\)"):
        REGISTRY.validate_config("call", {"function": "userlib.steps:joined", "arguments": {"spe": "-"}})
