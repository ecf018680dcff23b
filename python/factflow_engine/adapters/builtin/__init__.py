"""The adapters that come with the engine, one a file, listed here.

Importing this package registers nothing: `ValidatingAdapterRegistry` reads the list.
"""

from typing import Final

from factflow_engine.adapters.builtin.call import Call, CallAsync
from factflow_engine.adapters.builtin.count_by_field import CountByField
from factflow_engine.adapters.builtin.delay import Delay
from factflow_engine.adapters.builtin.filter import Filter
from factflow_engine.adapters.builtin.http_request import HttpRequest
from factflow_engine.adapters.builtin.log import Log
from factflow_engine.adapters.builtin.pick_fields import PickFields
from factflow_engine.adapters.builtin.read_jsonl import ReadJsonl
from factflow_engine.adapters.builtin.read_lines import ReadLines
from factflow_engine.adapters.builtin.rename_fields import RenameFields
from factflow_engine.adapters.builtin.set_fields import SetFields
from factflow_engine.adapters.builtin.split import Split
from factflow_engine.adapters.builtin.walk_directory import WalkDirectory
from factflow_engine.adapters.builtin.write_jsonl import WriteJsonl
from factflow_protocols import PipelineAdapter

BUILTIN_ADAPTERS: Final[tuple[tuple[str, type[PipelineAdapter]], ...]] = (
    ("call", Call),
    ("call_async", CallAsync),
    ("count_by_field", CountByField),
    ("delay", Delay),
    ("filter", Filter),
    ("http_request", HttpRequest),
    ("log", Log),
    ("pick_fields", PickFields),
    ("read_jsonl", ReadJsonl),
    ("read_lines", ReadLines),
    ("rename_fields", RenameFields),
    ("set_fields", SetFields),
    ("split", Split),
    ("walk_directory", WalkDirectory),
    ("write_jsonl", WriteJsonl),
)

__all__ = ["BUILTIN_ADAPTERS"]
