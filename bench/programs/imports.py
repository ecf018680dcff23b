"""How long the engine's import takes inside a fresh interpreter."""

import time

wall, cpu = time.perf_counter(), time.process_time()
import factflow_engine  # noqa: E402 - it is what is measured

wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(f'{{"took_ms": {wall * 1e3}, "cpu_ms": {cpu * 1e3}, "names": {len(factflow_engine.__all__)}}}')
