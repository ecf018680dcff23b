"""Examples of messages: one for which conditions hold, or the proof that there is none.

Kept separate from the compiler because nothing here runs while messages flow: checks of configurations and generators
of test data ask it.
"""

from factflow_engine.conditions.examples.choices import PLAINEST, Choices, Plainest
from factflow_engine.conditions.examples.scalars import Example
from factflow_engine.conditions.examples.search import find_example

__all__ = ["PLAINEST", "Choices", "Example", "Plainest", "find_example"]
