"""Metadata of embeddings: the fields by which a vector can be used, and found again.

Kept separate from the writer because an adapter that makes embeddings calls it.
"""

from __future__ import annotations

from typing import Any, Final

DISTANCES: Final = ("cosine", "dot", "euclidean", "manhattan")
"""Measures of distance that embeddings are compared by."""


def build_embedding_metadata(
    *,
    model: str,
    dimensions: int,
    distance: str = "cosine",
    source_key: str,
    segment_span: tuple[int, int] | None = None,
    is_normalised: bool | None = None,
) -> dict[str, Any]:
    """Return the metadata of one embedding, for `storage.write(custom=...)` or as a field of a message.

    Args:
        model: Name of the model, with its version: vectors of two models cannot be compared.
        dimensions: Length of the vector.
        distance: Measure that the model was made for: one of `DISTANCES`.
        source_key: Key of the object that the text was read from.
        segment_span: First character of the embedded segment in that text, and the one after its last; None: all of it.
        is_normalised: True if the vector has the length 1; None: unknown.

    Returns:
        A flat mapping of values that JSON can hold: `embedding_model`, `embedding_dimensions`, `embedding_distance`,
        `source_key`, and if given `segment_start`, `segment_end` and `embedding_is_normalised`.

    Raises:
        ValueError: A value cannot be one.

    Example:
        fields = build_embedding_metadata(
            model="minilm-l6-v2", dimensions=384, source_key="executions/e/parse/markdown/0123.md", segment_span=(0, 512)
        )
        assert fields["embedding_distance"] == "cosine"
        assert (fields["segment_start"], fields["segment_end"]) == (0, 512)
    """
    if type(model) is not str or not model.strip():
        raise ValueError(f"model must be the name of a model, got {model!r}")
    if type(dimensions) is not int or dimensions < 1:
        raise ValueError(f"dimensions must be a whole number of at least 1, got {dimensions!r}")
    if distance not in DISTANCES:
        raise ValueError(f"distance must be one of {', '.join(DISTANCES)}, got {distance!r}")
    if type(source_key) is not str or not source_key:
        raise ValueError(f"source_key must be the key of an object, got {source_key!r}")
    fields: dict[str, Any] = {
        "embedding_model": model,
        "embedding_dimensions": dimensions,
        "embedding_distance": distance,
        "source_key": source_key,
    }
    if segment_span is not None:
        start, end = segment_span
        if not (type(start) is int and type(end) is int and 0 <= start < end):
            raise ValueError(f"segment_span must be (start, end) with 0 <= start < end, got {segment_span!r}")
        fields["segment_start"], fields["segment_end"] = start, end
    if is_normalised is not None:
        fields["embedding_is_normalised"] = bool(is_normalised)
    return fields
