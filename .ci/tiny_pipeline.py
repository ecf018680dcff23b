"""Run two messages through a pipeline of the installed package, far from its sources, and print what it is.

What the tests do not see, because they run beside the sources: whether the built package holds all that a run needs.
"""

import sys
from importlib.metadata import entry_points, version
from pathlib import Path

import trio

import factflow_engine
from factflow_engine import OrchestratorManager, PipelineConfigLoader, ValidatingAdapterRegistry

PIPELINE = """
version: "1.0"
routes:
  first:
    adapters: [{type: set_fields, config: {fields: {seen: true}}}]
    outbound: [{route: second, condition: {field: id, operator: gt, value: 1}}]
  second:
    adapters: [{type: pick_fields, config: {fields: [id, seen]}}]
"""


async def main() -> dict[str, int]:
    """Return the outcomes of the two messages, summed over both routes."""
    registry = ValidatingAdapterRegistry()
    async with OrchestratorManager(registry=registry) as manager:
        execution = await manager.start(PipelineConfigLoader(registry).load_text(PIPELINE))
        for number in (1, 2):
            await execution.publish("first", {"id": number})
        report = await execution.complete()
    return {str(outcome): count for outcome, count in report.outcomes.items() if count}


outcomes = trio.run(main)
location = Path(factflow_engine.__file__).parent
if outcomes != {"completed": 2, "filtered": 1}:
    sys.exit(f"expected 2 completed and 1 filtered, got {outcomes}")
if "site-packages" not in location.parts:
    sys.exit(f"expected the installed package, got the sources in {location}")
if factflow_engine.__version__ != version("factflow-engine"):
    sys.exit(f"__version__ is {factflow_engine.__version__}, the metadata say {version('factflow-engine')}")
missing = [name for name in ("py.typed", "_native.pyi") if not (location / name).exists()]
if missing:
    sys.exit(f"the package lacks {missing}")
plugins = [point.value for point in entry_points(group="pytest11") if point.name == "factflow"]
if plugins != ["factflow_engine.pytest_plugin"]:
    sys.exit(f"expected the plugin for pytest among the entry points, got {plugins}")
print(f"factflow-engine {factflow_engine.__version__} runs on Python {sys.version.split()[0]}")
