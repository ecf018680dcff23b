"""Public names of a package that come from modules below it, each module imported when a name of it is first used.

Kept separate because several packages do it: importing one of them must not cost what a program does not use of it. The
package's own file has the names twice, under `TYPE_CHECKING` for checkers and in a table for this; a test holds the
two equal.
"""

import importlib
from collections.abc import Mapping
from typing import Any


def first_use(name: str, *, namespace: dict[str, Any], modules: Mapping[str, str]) -> Any:
    """Return the value of a name that is not there yet, and keep it in the namespace.

    Args:
        name: What was asked for.
        namespace: The package's `globals()`.
        modules: By name, the module that defines it.

    Raises:
        AttributeError: The package has no such name.
    """
    if name not in modules:
        raise AttributeError(f"module {namespace['__name__']!r} has no attribute {name!r}")
    value = namespace[name] = getattr(importlib.import_module(modules[name]), name)
    return value
