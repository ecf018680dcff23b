"""Lines that reproduce the failing simulations of this process, for whoever reports a test's failure.

Kept separate from the run that notes them and from the pytest plugin that prints them, so that neither imports the
other: this module imports nothing.
"""

_noted: list[str] = []


def note(line: str) -> None:
    """Keep a line that reproduces a failing simulation; one that is there already is not kept twice."""
    if line not in _noted:
        _noted.append(line)


def noted() -> list[str]:
    """Return the lines since the last `forget`, in order."""
    return list(_noted)


def forget() -> None:
    """Drop all lines, as before a test."""
    _noted.clear()
