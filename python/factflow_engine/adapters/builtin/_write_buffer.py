"""Entries that a sink has accepted and not written to the disk yet, one for each message id.

Kept separate from the sinks because the messages have ended by then: whatever interrupts the write, an entry is either
on the disk or still in the buffer, and this module guarantees that.
"""

import math
from collections.abc import Callable
from typing import Generic, TypeVar

import trio

from factflow_engine.seams import TrioThreads

Key = TypeVar("Key")
Entry = TypeVar("Entry")


class WriteBuffer(Generic[Key, Entry]):
    """Entries by message id; the first entry of an id stays.

    The buffer holds no more than its bounds and one entry for each message in flight, provided that callers wait for
    `write_out` while `is_full`.
    """

    def __init__(
        self,
        write: Callable[[dict[Key, Entry]], object],
        *,
        threads: TrioThreads,
        lock: trio.Lock,
        size_of: Callable[[Entry], int],
        most_bytes: int,
        most_entries: float = math.inf,
    ) -> None:
        """Prepare.

        Args:
            write: Writes entries to the disk, all or none; called in a thread.
            threads: Threads to call `write` in.
            lock: Lock held during the write.
            size_of: An entry's size in bytes.
            most_bytes: Bytes that make it full.
            most_entries: Entries that make it full.
        """
        self._write = write
        self._threads = threads
        self._lock = lock
        self._size_of = size_of
        self._most_bytes = most_bytes
        self._most_entries = most_entries
        self._entries: dict[Key, Entry] = {}
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """True if no entry should be added before `write_out`."""
        return self._bytes >= self._most_bytes or len(self._entries) >= self._most_entries

    def add(self, key: Key, entry: Entry) -> None:
        """Add an entry, unless this id has one."""
        if key not in self._entries:
            self._entries[key] = entry
            self._bytes += self._size_of(entry)

    async def write_out(self) -> None:
        """Write the entries to the disk.

        Raises what `write` raises; all entries are then still in the buffer.

        Cancellation: possible while another call writes; a call that writes is shielded.
        """
        async with self._lock:
            batch = self._entries
            if not batch:
                return
            self._entries, self._bytes = {}, 0
            with trio.CancelScope(shield=True):  # these are entries of messages that have already ended
                try:
                    await self._threads.run(lambda: self._write(batch))
                except BaseException:  # raised again: unwritten entries stay
                    self._entries = batch | {key: entry for key, entry in self._entries.items() if key not in batch}
                    self._bytes = sum(map(self._size_of, self._entries.values()))
                    raise
