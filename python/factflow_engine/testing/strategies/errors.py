"""Errors of strategies: arguments for which nothing can be drawn.

Kept separate because every module of this package raises them.
"""

from factflow_protocols import FactflowError


class StrategyError(FactflowError, ValueError):
    """An argument of a strategy that cannot be: the text says what was expected, and what was given."""


class UnsupportedSchemaError(StrategyError):
    """A JSON Schema from which no value can be built: the text names the place and the keyword.

    Attributes:
        path: Place in the schema, as a JSON pointer.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path or '/'} of the JSON Schema: {problem}")
        self.path = path
