"""Exceptions of simulated runs."""

from factflow_protocols import FactflowError


class SimulatedFailureError(FactflowError):
    """Failure that a simulation makes a stage raise: by a fault, a model's share of errors, or an outage."""


class SimulationFailedError(FactflowError, AssertionError):
    """A simulated run that broke a guarantee, or an assertion about it.

    Attributes:
        reproducer: One line that reproduces it.
    """

    def __init__(self, text: str, reproducer: str) -> None:
        self.reproducer = reproducer
        super().__init__(f"{text}\nreproduce: {reproducer}" if reproducer else text)


class SimulationError(FactflowError, ValueError):
    """Arguments of a simulation that do not fit together: the text says what was expected and what to write instead."""


class AbandonedRunError(FactflowError):
    """Cause of trio's error in a run whose tasks go on whatever cancels them; it reaches no caller."""
