"""Interface of every display; the base class prints notices and shows nothing else."""

from typing import ClassVar

from rich.console import Console
from rich.text import Text

from factflow_engine.cli.text import clean
from factflow_engine.runtime.report import ExecutionStatistics


class Progress:
    """Display of notices only: `--progress none`, and the base class of the others.

    Attributes:
        interval_seconds: Time between two calls of `show`.
        remark: Text to show beside the statistics; empty for none.
    """

    interval_seconds: ClassVar[float] = 60.0

    def __init__(self, console: Console) -> None:
        self._console = console
        self.remark = ""

    def show(self, statistics: ExecutionStatistics) -> None:
        """Show the execution's statistics now."""

    def end(self, statistics: ExecutionStatistics) -> None:
        """Show the execution for the last time, at its end."""

    def say(self, line: str) -> None:
        """Print a notice.

        Raises:
            OutputClosedError: The reader went away.
        """
        self._console.print(Text(f"factflow: {clean(line)}"), soft_wrap=True)
