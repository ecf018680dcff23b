"""Blockers: stages whose code has held trio's loop, so that nothing else of the program ran.

Kept separate from the loop, which only encloses each step of a stage's code by two readings of its clock, natively
(`LoopWatch`). A thread that keeps the interpreter's lock, or a process that was stopped, looks the same from there.
"""

import inspect
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from factflow_engine.native import EMITTED, LoopWatch
from factflow_engine.runtime.report import Blocker
from factflow_engine.runtime.stages.stage import Stage

logger = logging.getLogger("factflow_engine.runtime")

HELD_SECONDS: Final = 0.5
"""Shortest hold that makes a stage a blocker: a person notices it, and garbage collection or a busy machine rarely takes
as long."""

_ENGINE: Final = Path(__file__).parents[2]

_REMEDIES: Final = {
    "process": "write `def process`, which runs in a thread, or await what takes long",
    EMITTED: "emit an async iterator that awaits, or write `def process`: what that emits is pulled in a thread",
}
_OF_THREADS: Final = "code in its thread kept the interpreter's lock: set `isolation: process`"
_OF_OTHERS: Final = "await what takes long, or `await trio.to_thread.run_sync(...)`"


class Blockers:
    """The blockers of one execution, each logged when it first holds the loop.

    Args:
        execution_id: Id of the execution, for the log.
        now: Clock of the loop, in nanoseconds. Under a virtual one a step takes no time, and nothing blocks.
        redacted: Removes secrets from a text.

    Attributes:
        watch: Notices them.
    """

    def __init__(self, execution_id: str, *, now: Callable[[], int], redacted: Callable[[str], str]) -> None:
        self._execution_id = execution_id
        self._redacted = redacted
        self._found: dict[tuple[str, str, str], Blocker] = {}
        self.watch: Final = LoopWatch(now=now, limit_ns=round(HELD_SECONDS * 1e9), note=self._note)

    def found(self) -> tuple[Blocker, ...]:
        """Return the stages that have held the loop so far, the first one first."""
        return tuple(self._found.values())

    def _note(self, stage: Stage, call: str, held_ns: int) -> None:
        seconds = held_ns / 1e9
        key = (stage.info.route, stage.info.stage, call)
        known = self._found.get(key)
        if known is not None:
            self._found[key] = replace(
                known, times=known.times + 1, longest_seconds=max(known.longest_seconds, seconds)
            )
            return
        blocker = self._found[key] = Blocker(
            route=stage.info.route,
            stage=stage.info.stage,
            call=call,
            place=_place_of(stage, call),
            longest_seconds=seconds,
            times=1,
            remedy=_remedy_for(stage, call),
        )
        logger.warning("execution %s: %s", self._execution_id, self._redacted(str(blocker)))


def _place_of(stage: Stage, call: str) -> str:
    """Return file and line of the adapter's function; empty if it is the engine's own or unknown."""
    function = inspect.unwrap(getattr(stage.adapter, "process" if call == EMITTED else call))
    code = getattr(function, "__code__", None)
    if code is None or Path(code.co_filename).is_relative_to(_ENGINE):
        return ""
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}"


def _remedy_for(stage: Stage, call: str) -> str:
    return _OF_THREADS if stage.in_thread and call in _REMEDIES else _REMEDIES.get(call, _OF_OTHERS)
