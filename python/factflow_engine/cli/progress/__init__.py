"""Displays of a running execution: a live table, plain lines, or notices only.

All write to standard error; standard output is for results.
"""

from factflow_engine.cli.progress.base import Progress
from factflow_engine.cli.progress.choice import ProgressMode, open_progress

__all__ = ["Progress", "ProgressMode", "open_progress"]
