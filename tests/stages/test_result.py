"""What a message carries of a stored object."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.frames import pack, unpack
from factflow_engine.stages.result import StageStorageResult

RESULTS = st.builds(
    StageStorageResult,
    key=st.text(st.characters(codec="utf-8")),
    size_bytes=st.integers(0, 2**62),
    checksum=st.just("0" * 64),
    content_type=st.just("text/plain"),
    metadata_key=st.just("k"),
)


@given(result=RESULTS)
def test_it_comes_back_from_a_message(result):
    assert StageStorageResult.from_message({**unpack(pack(result.as_message())), "other": 1}) == result


@pytest.mark.parametrize(
    ("message", "problem"),
    [({}, "key must be str, got NoneType"), ({"key": "k", "size_bytes": "5"}, "size_bytes must be int, got str")],
)
def test_what_is_none(message, problem):
    with pytest.raises(ValueError, match=problem):
        StageStorageResult.from_message(message)
