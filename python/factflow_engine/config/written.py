"""Strings of a written configuration: a text, in which `${` must be escaped, or a reference, in which it must not.

Kept separate from the canonical form because the tree of a document needs this without the models.
"""


class Reference(str):
    """Written text that refers to the environment, unquoted, so that `${PORT}` is read as a number."""

    __slots__ = ()


def escape(text: str) -> str:
    """Return the written form of a literal string, in which `${` is escaped."""
    return text.replace("${", "$${")
