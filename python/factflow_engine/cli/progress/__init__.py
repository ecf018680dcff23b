"""Ways to show a running execution: a live table, plain lines, or only what must be said.

All write to standard error; standard output is for results.
"""

from factflow_engine.cli.progress.base import Progress
from factflow_engine.cli.progress.choice import ProgressMode, open_progress

__all__ = ["Progress", "ProgressMode", "open_progress"]
