"""An adapter that masks e-mail addresses; found by factflow-engine through the package's entry point."""

from factflow_redact.redact import Redact, RedactConfig

__all__ = ["Redact", "RedactConfig"]
