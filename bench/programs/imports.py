"""How long a fresh interpreter takes to import what every embedding program needs.

`import factflow_engine` alone would say nothing: its names are resolved when they are first used.
"""

import time

wall, cpu = time.perf_counter(), time.process_time()
from factflow_engine import (  # noqa: E402 - it is what is measured
    AdapterResult,
    OrchestratorManager,
    PipelineAdapter,
    PipelineConfigLoader,
    ValidatingAdapterRegistry,
)

NAMES = (AdapterResult, OrchestratorManager, PipelineAdapter, PipelineConfigLoader, ValidatingAdapterRegistry)

wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(f'{{"took_ms": {wall * 1e3}, "cpu_ms": {cpu * 1e3}, "names": {len(NAMES)}}}')
