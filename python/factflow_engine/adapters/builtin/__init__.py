"""Built-in adapters, one a file, listed here.

Importing this package registers nothing and imports none of them: `ValidatingAdapterRegistry` reads the list, and
imports an adapter's module on first use of the type. A program pays only for the adapters that it uses.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

BUILTIN_ADAPTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "call": "call:Call",
        "call_async": "call:CallAsync",
        "count_by_field": "count_by_field:CountByField",
        "delay": "delay:Delay",
        "filter": "filter:Filter",
        "http_request": "http_request:HttpRequest",
        "log": "log:Log",
        "pick_fields": "pick_fields:PickFields",
        "read_jsonl": "read_jsonl:ReadJsonl",
        "read_lines": "read_lines:ReadLines",
        "read_stdin": "read_stdin:ReadStdin",
        "rename_fields": "rename_fields:RenameFields",
        "set_fields": "set_fields:SetFields",
        "split": "split:Split",
        "store_object": "store_object:StageStorageAdapter",
        "walk_directory": "walk_directory:WalkDirectory",
        "write_jsonl": "write_jsonl:WriteJsonl",
        "write_sqlite": "write_sqlite:WriteSqlite",
        "write_stdout": "write_stdout:WriteStdout",
    }
)
"""Adapter type to `module:Class`, of this package."""

__all__ = ["BUILTIN_ADAPTERS"]
