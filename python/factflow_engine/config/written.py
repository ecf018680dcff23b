"""Strings of a written configuration: a text, in which `${` must be escaped, or a reference, in which it must not.

Kept separate from the canonical form because the tree of a document needs this and nothing of the models.
"""


class Reference(str):
    """Written text that stands for values of the environment, unquoted, so that `${PORT}` is read as a number."""

    __slots__ = ()


def escape(text: str) -> str:
    """A literal string as it is written: `${` would be a reference."""
    return text.replace("${", "$${")
