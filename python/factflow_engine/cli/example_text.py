"""Messages that show something about a configuration, as text without its secrets."""

from factflow_engine.adapters.builtin._json import json_text
from factflow_engine.cli.settings import Settings
from factflow_engine.conditions.examples import Example
from factflow_protocols import Reject


def example_text(example: Example | None, settings: Settings) -> str | None:
    """Return the message as JSON, or as Python writes it if it holds NaN or an infinity; None without a message."""
    if example is None:
        return None
    try:
        text = json_text(example.value)
    except Reject:
        text = repr(example.value)
    return settings.hidden(text)
