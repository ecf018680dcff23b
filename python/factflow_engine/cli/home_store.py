"""Access of a command to the store of executions in its home.

Kept separate from `home` because it imports what records executions.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from factflow_engine.cli.home import made, operators_errors
from factflow_engine.cli.interrupts import python_interrupts
from factflow_engine.executions import Executions, Home, open_executions

T = TypeVar("T")


def in_store(home: Home, call: Callable[[Executions], Awaitable[T]]) -> T:
    """Run a call with the executions of a home, which is made if it is missing.

    Raises:
        InvalidInputError: What the operator named is not there, or cannot be one.
    """

    async def main() -> T:
        async with open_executions(home.executions_url) as executions:
            return await call(executions)

    with operators_errors():
        made(home)
        with python_interrupts():
            return trio.run(main)
