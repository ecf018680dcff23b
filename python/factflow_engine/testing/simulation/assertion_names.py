"""Names of `sometimes` that stand in the source of adapters: a campaign then knows those whose lines no run reaches.

Kept separate from the judgement of runs, because it reads sources and runs nothing.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from factflow_protocols import PipelineAdapter


def sometimes_in(*code: type[PipelineAdapter] | Callable[..., Any]) -> tuple[str, ...]:
    """Return the names that calls of `sometimes` give as literal texts in adapters, sorted.

    Functions that an adapter calls are not searched, give them too; nor are names that are put together. Code without a
    source, as that of an interactive session, has none.

    Args:
        code: Adapter classes, searched with their bases, and functions.

    Example:
        def process(context: PipelineContext) -> AdapterResult:
            sometimes(context.attempt > 1, "a message comes again")
            return AdapterResult.forward()

        totals = CampaignTotals(sometimes=sometimes_in(process))
    """
    return tuple(sorted({name for each in code for source in _sources(each) for name in _names(source)}))


def _sources(code: type[PipelineAdapter] | Callable[..., Any]) -> Iterator[str]:
    searched: list[Any] = [code]
    if isinstance(code, type):
        searched = [base for base in code.__mro__ if base.__module__.partition(".")[0] != "factflow_protocols"]
        searched += [
            function for base in searched if (function := getattr(vars(base).get("from_function"), "__func__", None))
        ]
    for each in searched:
        try:
            yield textwrap.dedent(inspect.getsource(each))
        except (OSError, TypeError):  # built in, made at run time, or from a program without a file
            continue


def _names(source: str) -> Iterator[str]:
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a lambda in the middle of an expression is cut out with what stands around it
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        given = [*node.args[1:2], *(keyword.value for keyword in node.keywords if keyword.arg == "name")]
        if called == "declare_sometimes":
            given = node.args
        elif called != "sometimes":
            continue
        yield from (one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str))
