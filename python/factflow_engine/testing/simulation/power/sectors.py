"""Sectors of a file after a power cut: each that was written since the last sync is the old one or the new one.

Kept separate because every kind of file loses them in the same way.
"""

from typing import Final

from factflow_engine.seams import Randomness

SECTOR_BYTES: Final = 512
"""Bytes that a disk writes whole or not at all."""


def coin(randomness: Randomness) -> bool:
    """Return True or False, each half of the time."""
    return randomness.uniform(0, 1) < 0.5


def torn(synced: bytes, written: bytes, randomness: Randomness) -> bytes:
    """Return what may be left of a file.

    A sector beyond the synced end that is lost before one that is kept holds zeros; a shorter length is kept or lost.

    Args:
        synced: Its bytes at the last sync.
        written: Its bytes before the power cut.
        randomness: Decides over each sector.
    """
    if len(written) < len(synced) and coin(randomness):
        written += synced[len(written) :]
    left = bytearray(synced[: len(written)])
    for start in range(0, len(written), SECTOR_BYTES):
        end = min(start + SECTOR_BYTES, len(written))
        if left[start:end] != written[start:end] and coin(randomness):
            left.extend(bytes(max(0, end - len(left))))
            left[start:end] = written[start:end]
    return bytes(left)
