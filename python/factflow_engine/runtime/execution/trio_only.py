"""Check that a caller runs under trio.

Kept separate from the manager because the handle of an execution uses it, too.
"""

import trio

from factflow_engine.errors import NotInTrioError


def require_trio(call: str) -> None:
    """Raise unless this thread runs trio.

    Raises:
        NotInTrioError: It does not, as in a program on asyncio, or in a plain thread.
    """
    if not trio.lowlevel.in_trio_run():
        raise NotInTrioError(call)
