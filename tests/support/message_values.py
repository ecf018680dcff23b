"""Strategies of message values: everything that a message can be."""

from hypothesis import strategies as st

from factflow_protocols import Ext, Timestamp

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False),
    TEXTS,
    st.binary(max_size=12),
    st.builds(Timestamp, st.integers(-(2**40), 2**40), st.integers(0, 999_999_999)),
    st.builds(Ext, st.integers(0, 127), st.binary(max_size=8)),
)

VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)
