"""Power cuts of a simulated machine: what is left of its files when what was not synced is lost.

`PowerCuts` is the machine's power; `disk` and `sqlite_files` know what of an object store and of an SQLite file is synced,
and `sectors` what may be left of one file.
"""

from factflow_engine.testing.simulation.power.cuts import PowerCuts, PowerCutThreads
from factflow_engine.testing.simulation.power.disk import PowerCutDisk
from factflow_engine.testing.simulation.power.sqlite_files import PowerCutFiles, Synchronous

__all__ = ["PowerCutDisk", "PowerCutFiles", "PowerCutThreads", "PowerCuts", "Synchronous"]
