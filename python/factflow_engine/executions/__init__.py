"""Stored configurations and executions: what ran, on what, how it ended.

`home` names the directory of a machine's stores.
"""

from factflow_engine.executions.home import Home, HomeError, find_home

__all__ = ["Home", "HomeError", "find_home"]
