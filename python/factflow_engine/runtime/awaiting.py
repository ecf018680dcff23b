"""Waiting on behalf of a coroutine that is run by hand.

The loop starts and continues adapters' coroutines natively, to learn without an `await` whether they have to wait at
all. What one of them gives to be waited for is given to trio here.
"""

import types
from collections.abc import Generator
from typing import Any


@types.coroutine
def given_for(trap: Any) -> Generator[Any, Any, Any]:
    """Give trio what a coroutine waits for; return what it gives for it, or raise what it throws."""
    return (yield trap)
