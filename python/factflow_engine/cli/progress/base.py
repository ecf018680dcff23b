"""Interface of every display of an execution; the base class prints lines and shows nothing else."""

from typing import ClassVar

from rich.console import Console
from rich.text import Text

from factflow_engine.cli.text import clean
from factflow_engine.runtime.report import ExecutionStatistics


class Progress:
    """Shows only what must be said: `--progress none`, and the base of the others.

    Attributes:
        interval_seconds: How long to wait between two calls of `show`.
    """

    interval_seconds: ClassVar[float] = 60.0

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, statistics: ExecutionStatistics) -> None:
        """Show the execution at this instant."""

    def end(self, statistics: ExecutionStatistics) -> None:
        """Show it once more, at its end."""

    def say(self, line: str) -> None:
        """Print a line of any text.

        Raises:
            OutputClosedError: The reader went away.
        """
        self._console.print(Text(f"factflow: {clean(line)}"), soft_wrap=True)
