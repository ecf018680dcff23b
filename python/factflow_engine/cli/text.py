r"""Text that is safe to print on a terminal.

Messages, configurations and error texts have any origin. They are printed only through `clean`, so that the terminal
obeys no escape sequence and no right-to-left override in them. Kept separate from the consoles because help needs no
console.
"""

from factflow_protocols import FactflowError


class OutputClosedError(FactflowError):
    """Closed output: its reader went away, so nothing can be reported to it."""


def clean(text: str, *, limit: int | None = None) -> str:
    r"""Make text safe for one line of a terminal.

    Control characters, line ends, bidirectional overrides and other invisible characters become escapes such as
    `\x1b` and `\n`.

    Args:
        text: Anything.
        limit: Characters to keep, counted before escaping; an ellipsis replaces the rest. None keeps all.
    """
    if limit is not None and len(text) > limit:
        text = text[:limit] + "..."
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: `1 message`, `2 messages`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
