"""Delegation of a wrapper to what it wraps, so that the engine finds the same optional abilities on both.

Kept separate from the recorders because both need it. The engine asks `isinstance(provider, StateProvider)` and the
like, and newer Pythons look for the members on the class alone: `__getattr__` is not seen there.
"""

from collections.abc import Mapping
from typing import Any


def extended(base: type, inner: object, special: Mapping[str, Any]) -> type:
    """Return a subclass of a wrapper's class with all that the wrapped object has besides, and no more.

    Args:
        base: The wrapper's class; its instances have the wrapped object as `_inner`.
        inner: The wrapped object.
        special: Members for names that the wrapper wraps itself, if the wrapped object has them.
    """
    names = {name for name in dir(inner) if not name.startswith("_")} - set(dir(base))
    members = {name: special.get(name, _passed_on(name)) for name in names}
    return type(base.__name__, (base,), {"__module__": base.__module__, "__doc__": base.__doc__, **members})


def _passed_on(name: str) -> property:
    return property(lambda self: getattr(self._inner, name))
