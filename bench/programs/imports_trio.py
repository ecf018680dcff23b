"""How long the import of trio takes, without which there is nothing to run."""

import time

wall, cpu = time.perf_counter(), time.process_time()
import trio  # noqa: E402 - it is what is measured

wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(f'{{"took_ms": {wall * 1e3}, "cpu_ms": {cpu * 1e3}, "version": {len(trio.__version__)}}}')
