"""Protocols of what lets an execution be resumed: its start, and the states of its stages.

Kept separate from `base`, which has what carries messages: the parts here have nothing to do where no message outlives the
process.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Protocol

from factflow_engine.runtime.stages.stage import Stage
from factflow_protocols import Begun

if TYPE_CHECKING:
    from factflow_engine.config import InitMessageConfig


class Start(Protocol):
    """Start of an execution: with its init messages, or by resuming with what is left."""

    @property
    def is_stored(self) -> bool:
        """True if the provider has noted, with the init messages, that stages must finish."""
        ...

    async def look(self) -> None:
        """Check whether messages of an earlier execution of this id are left; must be called before any is carried."""
        ...

    async def begin(self, messages: Sequence[InitMessageConfig]) -> Begun:
        """Publish init messages, unless the execution is resumed.

        Cancellation: some may have been published; if other processes may start the same id, the next one publishes the
        rest.
        """
        ...

    async def end(self, *, failed: bool) -> None:
        """Let the next execution of this id begin anew, unless something is left for it to resume.

        Must be called after this process has given back its messages; `failed` is True if the execution has failed.
        """
        ...


class States(Protocol):
    """States of one execution's stages, stored where other processes find them."""

    @property
    def kept(self) -> Container[tuple[str, str]]:
        """Route id and name of each stage with unfinished effects of other processes."""
        ...

    @property
    def idle(self) -> Container[tuple[str, str]]:
        """Route id and name of each stage that others have begun, and that has had no effect."""
        ...

    @property
    def is_last(self) -> bool:
        """True if this process lets the stages finish for all processes."""
        ...

    @property
    def is_handed_over(self) -> bool:
        """True if another process lets the stages finish."""
        ...

    @property
    def is_forgotten(self) -> bool:
        """True if all stages have finished, and no state is stored any more."""
        ...

    @property
    def discards(self) -> bool:
        """True if stages may remove what they have stored, once the execution has completed: it cannot be resumed."""
        ...

    def restore(self) -> None:
        """Restore the stages' stored states, once they are open.

        Raises:
            ExecutionStartError: A stage cannot restore its state.
        """
        ...

    async def opened(self) -> None:
        """Let other processes join, now that the stages are open."""
        ...

    async def begin(self, *, is_stored: bool) -> None:
        """Note that this process has begun the execution: its stages finish even if they never get a message.

        Args:
            is_stored: True if the provider knows already.

        Raises:
            FaultError: The provider failed.
        """
        ...

    async def conclude(self) -> None:
        """Decide which process lets the stages finish; set `is_last` or `is_handed_over`, or wait for others."""
        ...

    async def forget(self) -> None:
        """Delete the stored states, since all stages have finished; clear `is_last` if another process has left one."""
        ...

    def words_id(self, stage: Stage, payload: bytes) -> bytes | None:
        """Return the id of a message from a stage's `finish`, the same for each repetition; None for a new one."""
        ...
