"""Ids of what stages say last, in memory: each a different one, and nothing that was said is kept."""

import sys
from types import SimpleNamespace

from factflow_engine.frames import pack
from factflow_engine.runtime.transport.memory import NoStates


def test_equal_last_words_have_different_ids_and_are_not_kept():
    states, again, stage = NoStates(bytes(16)), NoStates(bytes(16)), SimpleNamespace(label=7)
    payload = pack({"text": "x" * 1_000_000})
    before = sys.getrefcount(payload)
    ids = [states.words_id(stage, payload) for _ in range(3)]
    assert sys.getrefcount(payload) == before
    assert len(set(ids)) == 3
    assert [again.words_id(stage, payload) for _ in range(3)] == ids
