"""Levels of durability by name: the promise of each, and the SQLite setting that keeps it."""

from enum import StrEnum
from typing import Final


class Durability(StrEnum):
    """Failures that accepted messages and returned settlements survive.

    All levels use write-ahead logging (WAL), so that no failure leaves the file half-written.
    """

    POWER = "power"
    """Power cuts and crashes of the operating system, too: every commit waits for the disk. The default."""
    PROCESS = "process"
    """The end of the process, `kill -9` included. A power cut may undo the latest commits: messages accepted in them
    are lost, messages settled in them are delivered again."""


SYNCHRONOUS: Final = {Durability.POWER: "FULL", Durability.PROCESS: "NORMAL"}
"""SQLite's `synchronous` for each level."""
