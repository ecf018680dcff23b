"""An SQLite file with write-ahead logging, its log and its index: what a power cut leaves of the three.

What was synced follows from what changed, by the rules of SQLite (sqlite.org/wal.html, `walWriteFrames` and
`walCheckpoint` in wal.c), so that nothing has to be put between SQLite and the system:

- With `synchronous = FULL`, each commit syncs the log; with NORMAL, commits do not.
- The file changes only in a checkpoint, which first syncs the log. The log begins anew only after a checkpoint of all of
  it, which has synced the file; its new header is synced before anything follows it.
- The last connection to close does a checkpoint of all, syncs the file, and removes the log.

The index (`-shm`) is memory and never survives. A piece of work counts as several only where what changed says so: one
that fills, empties and fills the log again is taken for the last two. Kept separate from the disk of object stores,
because SQLite calls the system itself.
"""

import os
from pathlib import Path
from typing import Literal, NamedTuple

from factflow_engine.seams import Randomness
from factflow_engine.testing.simulation.power.sectors import coin, torn

Synchronous = Literal["FULL", "NORMAL", "OFF"]
"""SQLite's setting: `FULL` for `durability=power`, `NORMAL` for `durability=process`; `OFF` syncs nothing."""

_HEADER_BYTES = 32


class _State(NamedTuple):
    """Bytes of the file and of its log; None where there is none."""

    file: bytes | None
    log: bytes | None


class PowerCutFiles:
    """The three files of one SQLite database, looked at after each piece of work on them."""

    def __init__(self, path: Path, randomness: Randomness, *, synchronous: Synchronous = "FULL") -> None:
        """Take what is there for synced."""
        self._path = path
        self._log_path = Path(f"{path}-wal")
        self._index_path = Path(f"{path}-shm")
        self._randomness = randomness
        self._synchronous = synchronous
        self._now = self._synced = self._look()  # `_now`: after the last work that was answered
        self._later: list[_State] = []  # after each work that was not

    def note_work(self) -> None:
        """Note that a piece of work was done."""
        self._later.append(self._look())

    def note_answer(self, count: int) -> None:
        """Note that the first so many of the unanswered pieces of work are done."""
        for state in self._later[:count]:
            self._settle(state)
        del self._later[:count]

    def cut(self) -> None:
        """Make the files what is left of them."""
        done = int(self._randomness.uniform(0, len(self._later) + 1))
        for state in self._later[:done]:
            self._settle(state)
        left = self._half_done(self._later[done]) if done < len(self._later) else self._torn(self._synced, self._now)
        self._later.clear()
        _replace(self._path, left.file)
        _replace(self._log_path, left.log)
        self._index_path.unlink(missing_ok=True)
        self._now = self._synced = left

    def _look(self) -> _State:
        return _State(_bytes_of(self._path), _bytes_of(self._log_path))

    def _settle(self, state: _State) -> None:
        """Note that a piece of work led to this state, and which of its bytes are synced."""
        before, self._now = self._now, state
        synced = self._synced
        if self._synchronous == "OFF":
            if before.file is None:
                self._synced = state  # its first content is written with SQLite's own setting
        elif _begins_anew(before, state):
            kept = state.log if self._synchronous == "FULL" else _with_header(before.log, state.log)
            self._synced = _State(state.file, kept)
        elif self._synchronous == "FULL" or before.file != state.file:
            self._synced = _State(synced.file, state.log)

    def _half_done(self, state: _State) -> _State:
        """Return what may be left when the power goes in the midst of the work that would lead to a state."""
        before, synced, randomness = self._now, self._synced, self._randomness
        if before.file is None:  # it was being made
            return _State(None, None)
        if self._synchronous == "OFF":
            return self._torn(synced, state)
        anew = _begins_anew(before, state)
        if before.file != state.file and (anew or coin(randomness)):
            # Within a checkpoint, or after it.
            if not anew or coin(randomness):
                log = before.log if anew else state.log
                return _State(self._torn_file(synced.file, state.file), log)
            return _State(state.file, self._torn_log(before.log, state.log, anew=True))
        if anew:
            return _State(before.file, self._torn_log(before.log, state.log, anew=True))
        return _State(self._torn_file(synced.file, before.file), self._torn_log(synced.log, state.log, anew=False))

    def _torn(self, synced: _State, state: _State) -> _State:
        return _State(self._torn_file(synced.file, state.file), self._torn_log(synced.log, state.log, anew=False))

    def _torn_file(self, synced: bytes | None, written: bytes | None) -> bytes | None:
        return None if written is None else torn(synced or b"", written, self._randomness)

    def _torn_log(self, synced: bytes | None, written: bytes | None, *, anew: bool) -> bytes | None:
        if written is None:  # its removal may be lost: all of it is in the file
            return synced if coin(self._randomness) else None
        if anew:
            if coin(self._randomness):
                return synced
            synced = _with_header(synced, written)
        return torn(synced or b"", written, self._randomness)


def _begins_anew(before: _State, after: _State) -> bool:
    """True if the log was begun anew, made or removed."""
    return (before.log or b"")[:_HEADER_BYTES] != (after.log or b"")[:_HEADER_BYTES]


def _with_header(log: bytes | None, new: bytes | None) -> bytes | None:
    """Return a log that has another's header and nothing else of it."""
    return None if new is None else new[:_HEADER_BYTES] + (log or b"")[_HEADER_BYTES:]


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _replace(path: Path, content: bytes | None) -> None:
    """Put another file in the place of one, so that who has the old one open does not see the new one."""
    if content is None:
        path.unlink(missing_ok=True)
        return
    new = Path(f"{path}-after-the-cut")
    new.write_bytes(content)
    os.replace(new, path)  # noqa: PTH105 - as elsewhere, the pair of names is what matters
