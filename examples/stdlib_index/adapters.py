"""The two adapters of the example that are not built in: where Python's own sources are, and what is in one.

`factflow run --adapters` finds them by their `adapter_type`.
"""

import ast
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from factflow_engine.adapters.builtin.walk_directory import WalkDirectory, WalkDirectoryConfig
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | Definition
# Nodes that a definition can stand in: statements, and the two kinds of branches that are none.
NESTING = (ast.stmt, ast.ExceptHandler, ast.match_case)


class StandardLibraryFiles(WalkDirectory):
    """Emits every file of the standard library that this Python came with."""

    adapter_type: ClassVar[str] = "stdlib_files"
    config_model: ClassVar[type[Any] | None] = None
    summary: ClassVar[str] = "Emit every file of this Python's standard library."

    def __init__(self) -> None:
        root = sysconfig.get_path("stdlib")
        super().__init__(WalkDirectoryConfig(root=root, exclude=("site-packages", "__pycache__")))


class ParsePython(PipelineAdapter):
    """Makes of a Python file `{path, segments}`: a list of `{path, kind, name, line, end_line, docstring}`.

    All segments of a file are one message, so that what is stored is one object a file; `split` cuts it afterwards.

    A file that cannot be decoded or parsed raises SyntaxError: that message ends `failed`, and nothing else stops.
    """

    adapter_type: ClassVar[str] = "parse_python"
    summary: ClassVar[str] = "Collect the docstrings of a Python file."

    runs_in: ClassVar[Literal["thread", "process"] | None] = "process"  # parsing is pure computing

    def __init__(self) -> None:
        # Keep the parser's warnings on odd string escapes out of the log: they name a file of the library as module.
        warnings.filterwarnings("ignore", module=re.escape(sysconfig.get_path("stdlib")))

    def process(self, context: PipelineContext) -> AdapterResult:
        """Parse the file.

        The syntax tree, a hundred times the file's size, is dropped before the segments go on.
        """
        file = context.message
        tree = ast.parse(Path(file["path"]).read_bytes(), filename=file["path"])
        path = file["relative_path"]
        return AdapterResult(message={"path": path, "segments": list(_segments(tree, path))})


class CountWords(PipelineAdapter):
    """Adds the number of words in a docstring."""

    adapter_type: ClassVar[str] = "count_words"

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Count."""
        segment = context.message
        return AdapterResult(message={**segment, "words": len(segment["docstring"].split())})


def _segments(tree: ast.Module, path: str) -> Iterator[dict[str, Any]]:
    module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    pending: list[tuple[ast.AST, str]] = [(tree, module)]
    while pending:  # not by recursion: how deep a file nests is not ours to say
        node, name = pending.pop()
        if isinstance(node, Documented):
            docstring = ast.get_docstring(node)
            if docstring:
                yield {"path": path, "kind": _kind(node), "name": name, **_span(node), "docstring": docstring}
        statements = [child for child in ast.iter_child_nodes(node) if isinstance(child, NESTING)]
        pending += [(child, _name_within(name, child)) for child in reversed(statements)]


def _name_within(outer: str, node: ast.AST) -> str:
    return f"{outer}.{node.name}" if isinstance(node, Definition) else outer


def _kind(node: Documented) -> str:
    if isinstance(node, ast.Module):
        return "module"
    return "class" if isinstance(node, ast.ClassDef) else "function"


def _span(node: Documented) -> dict[str, Any]:
    if isinstance(node, ast.Module):
        return {"line": 1, "end_line": node.body[-1].end_lineno}
    return {"line": node.lineno, "end_line": node.end_lineno}
