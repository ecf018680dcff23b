"""Keep what came from the environment out of reports: values become the references that stand for them.

Apart from the report because what is secret is the configuration's knowledge.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from factflow_engine.config import PipelineGlobalConfig


SHORTEST: Final = 4
"""Shorter values are left: replacing every `1` would hide nothing and garble everything."""


class Redaction:
    """Replaces resolved references to the environment by what was written, `${NAME}`."""

    def __init__(self, config: PipelineGlobalConfig) -> None:
        self._config = config

    @cached_property
    def _pairs(self) -> list[tuple[str, str]]:
        pairs = dict(_resolved(self._config.model_dump(), self._config.to_mapping()))
        # Longest first, so that a value which holds another is replaced whole.
        return sorted(pairs.items(), key=lambda pair: len(pair[0]), reverse=True)

    def __call__(self, text: str) -> str:
        """The text without the values."""
        for value, written in self._pairs:
            text = text.replace(value, written)
        return text

    def trace(self, error: BaseException) -> str:
        """The error as Python prints it, without the values; for logs."""
        return self("".join(traceback.format_exception(error)))

    def censor(self, error: BaseException) -> None:
        """Take the values out of an error's text. What it was raised from is left as it is."""
        error.args = tuple(self(part) if isinstance(part, str) else part for part in error.args)


def _resolved(value: Any, written: Any) -> Iterator[tuple[str, str]]:
    if isinstance(written, Mapping) and isinstance(value, Mapping):
        for key, item in written.items():
            yield from _resolved(value.get(key), item)
    elif isinstance(written, (list, tuple)) and isinstance(value, (list, tuple)):
        for inner, item in zip(value, written, strict=False):
            yield from _resolved(inner, item)
    elif isinstance(written, str) and "${" in written and str(value) != written and len(str(value)) >= SHORTEST:
        yield str(value), written
