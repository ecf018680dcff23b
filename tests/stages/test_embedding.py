"""Metadata of embeddings: JSON, complete, and refused where it could not be used."""

import json

import pytest

from factflow_engine.stages.embedding import DISTANCES, build_embedding_metadata

GOOD = {"model": "m-1", "dimensions": 3, "distance": "dot", "source_key": "executions/e/r/s/0.md"}


def test_the_fields():
    fields = build_embedding_metadata(**GOOD, segment_span=(5, 9), is_normalised=True)
    assert fields == {
        "embedding_model": "m-1",
        "embedding_dimensions": 3,
        "embedding_distance": "dot",
        "source_key": "executions/e/r/s/0.md",
        "segment_start": 5,
        "segment_end": 9,
        "embedding_is_normalised": True,
    }
    assert json.loads(json.dumps(fields)) == fields


def test_what_is_not_known_is_left_out():
    assert not {"segment_start", "segment_end", "embedding_is_normalised"} & build_embedding_metadata(**GOOD).keys()


@pytest.mark.parametrize("distance", DISTANCES)
def test_distances(distance):
    assert build_embedding_metadata(**{**GOOD, "distance": distance})["embedding_distance"] == distance


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"model": " "}, "model must be the name"),
        ({"model": None}, "model must be the name"),
        ({"dimensions": 0}, "dimensions must be a whole number"),
        ({"dimensions": True}, "dimensions must be a whole number"),
        ({"distance": "l2"}, "distance must be one of cosine, dot, euclidean, manhattan, got 'l2'"),
        ({"source_key": ""}, "source_key must be the key"),
        ({"segment_span": (3, 3)}, "segment_span must be"),
        ({"segment_span": (-1, 3)}, "segment_span must be"),
        ({"segment_span": (0.0, 3)}, "segment_span must be"),
    ],
)
def test_what_cannot_be(change, problem):
    with pytest.raises(ValueError, match=problem):
        build_embedding_metadata(**{**GOOD, **change})
