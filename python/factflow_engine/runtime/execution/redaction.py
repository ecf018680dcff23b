"""Redaction of what a run prints and stores: values from the environment stay out of errors, reports and logs.

Kept separate from the report because only the configuration knows what is secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from factflow_engine.config.hiding import Hiding
from factflow_engine.error_texts import trace_of

if TYPE_CHECKING:
    from factflow_engine.config import PipelineGlobalConfig


class Redaction:
    """Replacement of values from the environment by their written form, `${NAME}`."""

    def __init__(self, config: PipelineGlobalConfig) -> None:
        self._hidden = Hiding(config.secrets)

    def __call__(self, text: str) -> str:
        """Return the text without the values."""
        return self._hidden(text)

    def trace(self, error: BaseException) -> str:
        """Return the error as Python prints it, without the values; for logs."""
        return self(trace_of(error))

    def censor(self, error: BaseException) -> None:
        """Remove the values from an error's text; a cause that shows any becomes a note."""
        error.args = tuple(self(part) if isinstance(part, str) else part for part in error.args)
        cause = error.__cause__ or error.__context__
        if cause is not None:
            trace = trace_of(cause)
            if (hidden := self(trace)) != trace:
                error.__cause__ = error.__context__ = None
                error.add_note(f"Raised from this, with values of the environment hidden:\n{hidden}")
