"""What this process holds of memory now, and the most that it has held since it was started.

The peak is `VmHWM`, not `ru_maxrss`: a program inherits the latter from whoever has started it, across `exec` (Linux
copies the high-water mark of the image that is replaced), so a child of a large parent reports the parent's.
"""

from pathlib import Path


def resident() -> float:
    """Return the megabytes that this process holds now."""
    return _status("VmRSS")


def peak() -> float:
    """Return the most megabytes that this process has held since its program was started."""
    return _status("VmHWM")


def _status(key: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status names no {key}: memory is measured on Linux only")
