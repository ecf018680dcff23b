"""A queue provider that works as a broker does, in the process itself: `loopback://`."""

from factflow_loopback.provider import LoopbackQueue

__all__ = ["LoopbackQueue"]
