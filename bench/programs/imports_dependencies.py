"""How long the import of the two libraries takes that the engine cannot do without."""

import time

wall, cpu = time.perf_counter(), time.process_time()
import pydantic  # noqa: E402 - it is what is measured
import trio  # noqa: E402 - and this

pydantic.BaseModel  # noqa: B018 - pydantic imports what it is asked for
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(f'{{"took_ms": {wall * 1e3}, "cpu_ms": {cpu * 1e3}, "version": {len(trio.__version__)}}}')
