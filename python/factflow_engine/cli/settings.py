"""Options of one invocation of the command; click carries them as the context's object."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Layout(StrEnum):
    """Layouts of tables: values of `--output` besides `json`."""

    TEXT = "text"
    """For people: as wide as the terminal, prose wrapped."""
    PLAIN = "plain"
    """For programs: one row a line, tabs between cells, no headings."""
    WIDE = "wide"
    """For people: one row a line, nothing cut or wrapped."""


@dataclass(slots=True)
class Settings:
    """Settings that options fill in while click parses; commands and the guard around them read them.

    Attributes:
        debug: True if an error prints its traceback.
        layout: Layout of tables, if the output is no document.
        as_json: True if standard output must hold exactly one JSON document, errors included.
        asks_json: True if the arguments ask for that, whether they could be parsed or not.
        document_printed: True if that document was printed.
        owns_process: True if the process exists for this invocation, so that its start time is the command's.
        hidden: Removes the configuration's secrets from a text.
    """

    debug: bool = False
    layout: Layout = Layout.TEXT
    as_json: bool = False
    asks_json: bool = False
    document_printed: bool = False
    owns_process: bool = False
    hidden: Callable[[str], str] = str
