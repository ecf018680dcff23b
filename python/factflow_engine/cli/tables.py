"""Tables of commands in the layout that the operator chose: for people, for pipes, or with nothing cut.

The only place that lays out rows. Names, ids and numbers are never broken or cut: if the terminal is too narrow for
them, the line is longer than it, and can still be copied whole. Kept separate from `console` because layouts are about
columns, consoles about streams.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import click
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment, Segments
from rich.table import Table as RichTable
from rich.text import Text

from factflow_engine.cli.settings import Layout
from factflow_engine.cli.text import clean

_LEAST: Final = 20
"""Least width of a column of prose, if its cells are longer."""

_GAP: Final = 2
"""Width of the space between columns."""


class Kind(StrEnum):
    """Kinds of columns."""

    NAME = "name"
    """Names and ids."""
    NUMBER = "number"
    """Numbers, aligned to the right."""
    PROSE = "prose"
    """Text that may be wrapped between words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column.

    Attributes:
        title: Its heading.
        kind: Its kind.
        optional: True to leave it out while all its cells are empty or 0; `plain` has it always.
    """

    title: str
    kind: Kind = Kind.NAME
    optional: bool = False


def names(*titles: str) -> list[Column]:
    """Return columns of names and ids."""
    return [Column(title=title) for title in titles]


def numbers(*titles: str) -> list[Column]:
    """Return columns of numbers."""
    return [Column(title=title, kind=Kind.NUMBER) for title in titles]


def prose(*titles: str) -> list[Column]:
    """Return columns of text that may be wrapped."""
    return [Column(title=title, kind=Kind.PROSE) for title in titles]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with a style.

    Attributes:
        value: Text of any origin, or a number.
        style: Its style on a terminal.
    """

    value: str | int
    style: str = ""

    @property
    def plain(self) -> str:
        """The value for programs: a number without separators; no tab and no line end."""
        return str(self.value) if isinstance(self.value, int) else clean(self.value)

    @property
    def shown(self) -> Text:
        """The value for people."""
        text = f"{self.value:,}" if isinstance(self.value, int) else clean(self.value)
        return Text(text, style=self.style)


class Table:
    """Rows under headings, to be printed in any layout.

    Example:
        table = Table(*names("queue"), *numbers("waiting"))
        table.add("/queue/parse", 7)
        table.print(output(), settings.layout)
    """

    def __init__(self, *columns: Column) -> None:
        self._columns = columns
        self._rows: list[list[Cell]] = []

    def add(self, *cells: str | int | Cell) -> None:
        """Add a row; it has a cell for each column.

        Raises:
            ValueError: It has more cells, or fewer.
        """
        row = [cell if isinstance(cell, Cell) else Cell(cell) for cell in cells]
        if len(row) != len(self._columns):
            raise ValueError(f"expected {len(self._columns)} cells, got {len(row)}")
        self._rows.append(row)

    def print(self, console: Console, layout: Layout) -> None:
        """Print the rows: `plain` with tabs between cells and no headings, the other layouts as aligned columns.

        Raises:
            OutputClosedError: The reader went away.
        """
        if layout is Layout.PLAIN:
            for row in self._rows:
                click.echo("\t".join(cell.plain for cell in row), file=console.file)
            return
        shown = [place for place in range(len(self._columns)) if self._is_shown(place)]
        box = SIMPLE_HEAD if console.is_terminal else None
        padding = _GAP - 1 if box else _GAP  # a box puts a space between columns
        table = RichTable(box=box, pad_edge=False, padding=(0, padding, 0, 0))
        least = longest = len(shown) + 1  # the ruled table's edges
        for place in shown:
            column, natural = self._columns[place], self._width(place)
            wraps = column.kind is Kind.PROSE and layout is Layout.TEXT
            width = min(natural, _LEAST) if wraps else natural
            least += width + _GAP
            longest += natural + _GAP
            table.add_column(
                Text(column.title),
                justify="right" if column.kind is Kind.NUMBER else "left",
                no_wrap=not wraps,
                min_width=width,
                overflow="fold",
            )
        for row in self._rows:
            table.add_row(*(row[place].shown for place in shown))
        width = longest if layout is Layout.WIDE else max(console.width, least)
        segments = console.render(table, console.options.update(width=width, height=None))
        console.print(Segments(_stripped(segments)), soft_wrap=True)

    def _is_shown(self, place: int) -> bool:
        return not self._columns[place].optional or any(row[place].value for row in self._rows)

    def _width(self, place: int) -> int:
        cells: Iterable[str] = (row[place].shown.plain for row in self._rows)
        return max(map(cell_len, [self._columns[place].title, *cells]))


def _stripped(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Yield the segments of lines without the spaces at their ends, which a terminal that they exceed would break."""
    for line in Segment.split_lines(segments):
        while line and not line[-1].text.rstrip():
            line.pop()
        if line:
            text, style, control = line.pop()
            line.append(Segment(text.rstrip(), style, control))
        yield from line
        yield Segment.line()
