"""Hypothesis strategies over `generators`."""

from hypothesis import strategies as st

from conditions import generators


def drawn(generator):
    """What a function of a `random.Random` makes."""
    return st.randoms(use_true_random=False).map(generator)


conditions = drawn(generators.condition)
leaves = drawn(generators.leaf)
messages = drawn(generators.message)
pairs = drawn(generators.pair)
