"""Recognition, before it is imported, of a module that runs a program when it is imported.

Kept separate from the import because only the module's text is read: importing a program to find its adapters would run
it, perhaps without end, and a nested `trio.run` fails far from its cause.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RUNNERS: Final = frozenset({"trio.run", "anyio.run", "asyncio.run", "factflow_engine.cli.main"})
"""Functions that run until the program ends."""

_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_LATER: Final = (*_FUNCTIONS, ast.Lambda, ast.GeneratorExp)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramCall:
    """Call that runs a program when its module is imported.

    Attributes:
        line: Line of the call, from 1.
        column: Column of the call, from 1.
        name: What is called, as written.
        runner: One of `RUNNERS`: what is called, or what it leads to.
    """

    line: int
    column: int
    name: str
    runner: str


def program_call(file: Path) -> ProgramCall | None:
    """Return the first call at import that runs a program; None if there is none, or the text is not Python's.

    Found are the functions of `RUNNERS`, called outside of functions and of `if __name__ == "__main__":`, directly or
    through functions of the module.
    """
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # the import says it better
    names = _imported_names(tree)
    functions = {node.name: node for node in tree.body if isinstance(node, _FUNCTIONS)}
    leads_to: dict[str, str] = {}
    changed = True
    while changed:
        changed = False
        for name, function in functions.items():
            if name not in leads_to:
                runner = next(
                    (found for call in _calls(function.body) if (found := _runner(call, names, leads_to))), None
                )
                if runner is not None:
                    leads_to[name] = runner
                    changed = True
    for call in _calls(tree.body):
        runner = _runner(call, names, leads_to)
        if runner is not None:
            return ProgramCall(line=call.lineno, column=call.col_offset + 1, name=ast.unparse(call.func), runner=runner)
    return None


def _imported_names(tree: ast.Module) -> dict[str, str]:
    """Return what the names that imports bind stand for: `{"go": "trio.run"}` for `from trio import run as go`."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.partition(".")[0]
                names[bound] = alias.name if alias.asname else bound
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _runner(call: ast.Call, names: dict[str, str], leads_to: dict[str, str]) -> str | None:
    written = ast.unparse(call.func)
    first, dot, rest = written.partition(".")
    full = names.get(first, first) + dot + rest
    return full if full in RUNNERS and first in names else leads_to.get(written)


def _calls(body: Sequence[ast.stmt]) -> Iterator[ast.Call]:
    """Yield the calls that happen when these statements are executed, in their order."""
    waiting: list[ast.AST] = list(reversed(body))
    while waiting:
        node = waiting.pop()
        if isinstance(node, _LATER):
            continue
        if isinstance(node, ast.If) and _is_guard(node.test):
            waiting.extend(reversed(node.orelse))
            continue
        if isinstance(node, ast.Call):
            yield node
        waiting.extend(reversed(list(ast.iter_child_nodes(node))))


def _is_guard(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and "__name__" in {
        part.id for part in ast.walk(test) if isinstance(part, ast.Name)
    }
