"""The levels of durability by name: what "accepted" promises, and which setting of SQLite keeps the promise."""

from enum import StrEnum
from typing import Final


class Durability(StrEnum):
    """Failures that accepted messages and returned settlements survive.

    All levels write ahead (WAL), so the file is never left half-written whatever happens.
    """

    POWER = "power"
    """Also a power cut or a crash of the operating system: every commit waits until the disk has it. The default."""
    PROCESS = "process"
    """The end of the process, `kill -9` included. A power cut may undo the last moments' commits, as if they had not
    been asked for: what they accepted is lost, what they settled is delivered again."""


SYNCHRONOUS: Final = {Durability.POWER: "FULL", Durability.PROCESS: "NORMAL"}
"""SQLite's `synchronous` for each level."""
