"""An interpreter that starts and does nothing but say when."""

import time

print(f'{{"at": {time.monotonic()}, "cpu_ms": {time.process_time() * 1e3}}}')
