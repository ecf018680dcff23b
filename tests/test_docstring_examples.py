"""The examples in docstrings of public names run: in trio, in the order in which they are found, each by itself."""

import ast
import inspect
import re
import textwrap
import types
from pathlib import Path
from typing import Any

import pytest
import trio

import factflow_engine
import factflow_protocols
from factflow_engine import testing
from factflow_engine.queues import providers

PACKAGES = (factflow_engine, factflow_protocols, testing)
SHOUT = """
routes:
  shout: {adapters: [{type: shout}], outbound: [{queue: /queue/shouts}]}
"""


def examples_in(documentation):
    """Yield the programs of the sections `Example:` of a docstring."""
    for section in re.findall(r"^Examples?:\n((?:(?: {4}.*)?\n?)+)", documentation, flags=re.MULTILINE):
        yield textwrap.dedent(section)


def public_examples():
    """Yield a name and a program for each example of the public names, and of their methods."""
    seen = set()
    named = [(name, getattr(package, name)) for package in PACKAGES for name in package.__all__]
    named += [(name, getattr(providers, name)) for name in ("open_queue", "open_administration")]
    for name, value in named:
        if id(value) in seen or not (inspect.isclass(value) or inspect.isroutine(value)):
            continue
        seen.add(id(value))
        methods = vars(value).items() if inspect.isclass(value) else ()
        for label, documented in [(name, value), *((f"{name}.{one}", method) for one, method in methods)]:
            if inspect.isclass(documented) or isinstance(documented, types.FunctionType):
                own = documented.__dict__.get("__doc__") if inspect.isclass(documented) else documented.__doc__
                yield from ((label, program) for program in examples_in(inspect.cleandoc(own or "")))


EXAMPLES = list(public_examples())


def test_what_is_used_in_more_than_one_way_has_an_example():
    wanted = {
        "AdapterResult",
        "CircuitBreaker",
        "ConditionOperator",
        "FakeContext",
        "OrchestratorManager",
        "PipelineAdapter",
        "PipelineConfigLoader",
        "PipelineOrchestrator",
        "ValidatingAdapterRegistry",
        "finished",
        "open_queue",
        "in_virtual_time",
        "validate_route_config",
    }
    assert wanted - {name for name, _ in EXAMPLES} == set()


class _Shout(factflow_engine.PipelineAdapter):
    async def process(self, context):
        return factflow_engine.AdapterResult(message={"text": context.message["text"].upper()})


def prelude():
    """Return the names that an example may use: the public ones, and what a program has made before."""
    names = {name: getattr(package, name) for package in PACKAGES for name in package.__all__}
    registry = factflow_engine.ValidatingAdapterRegistry()
    registry.register("shout", _Shout)
    config = factflow_engine.PipelineConfigLoader(registry).load_text('version: "1.0"' + SHOUT)
    return names | {"registry": registry, "config": config, "Path": Path, "Any": Any, "trio": trio}


def run(program, names):
    """Run a program, under trio if it awaits at its top level; an execution has a manager around it."""
    code = compile(program, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if not code.co_flags & inspect.CO_COROUTINE:
        exec(code, names)
        return

    async def under_a_manager():
        async with factflow_engine.OrchestratorManager(registry=names["registry"]) as manager:
            await eval(code, {"manager": manager} | names)

    trio.run(under_a_manager)


@pytest.mark.parametrize(("label", "program"), EXAMPLES, ids=[label for label, _ in EXAMPLES])
def test_an_example_runs(label, program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(program, prelude())


def test_a_wrong_example_fails():
    with pytest.raises(AssertionError):
        run("import trio\nawait trio.sleep(0)\nassert registry is None", prelude())
