"""Lazy public names of a package: each module is imported when one of its names is first used.

Kept separate because several packages do it: importing a package must not cost what a program does not use. The
package's own file has the names twice, under `TYPE_CHECKING` for checkers and in a table for this function; a test
holds the two equal.
"""

import importlib
from collections.abc import Mapping
from typing import Any


def first_use(name: str, *, namespace: dict[str, Any], modules: Mapping[str, str]) -> Any:
    """Import the value of a name that the namespace lacks, and store it there.

    Args:
        name: The name that was looked up.
        namespace: The package's `globals()`.
        modules: Name to the module that defines it.

    Raises:
        AttributeError: The package has no such name.
    """
    if name not in modules:
        raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
    value = namespace[name] = getattr(importlib.import_module(modules[name]), name)
    return value
