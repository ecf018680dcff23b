r"""Text that cannot take over a terminal.

Messages, configurations and error texts come from anywhere. They are printed only through `clean`, so that no escape
sequence and no right-to-left override in them is obeyed. Kept separate from the consoles because help needs no console.
"""

from factflow_protocols import FactflowError


class OutputClosedError(FactflowError):
    """Whoever read our output went away; there is nobody to report it to."""


def clean(text: str, *, limit: int | None = None) -> str:
    r"""Make text safe for one line of a terminal.

    Control characters, line ends, bidirectional overrides and other invisible characters become escapes such as
    `\x1b` and `\n`.

    Args:
        text: Anything.
        limit: Characters to keep before the escapes are made; the rest becomes an ellipsis. None for all.
    """
    if limit is not None and len(text) > limit:
        text = text[:limit] + "..."
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def plural(count: int, noun: str) -> str:
    """`1 message`, `2 messages`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
