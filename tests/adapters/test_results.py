"""A result says whether it is one message or several; a value that could be either is refused."""

import re

import pytest

from factflow_protocols import AdapterResult, Emit


@pytest.mark.parametrize("value", [{"n": 1}, "text", b"bytes", 3, None, True])
def test_a_value_without_a_name_is_the_message(value: object) -> None:
    assert AdapterResult(value).message == value
    assert AdapterResult(value).emitted is None


@pytest.mark.parametrize(
    "value",
    [[{"n": 1}], (), {1, 2}, frozenset(), range(3), map(str, [1]), zip([1], [2], strict=True), (n for n in [1])],
)
def test_a_list_or_iterator_without_a_name_is_refused_with_both_ways_to_write_it(value: object) -> None:
    with pytest.raises(
        TypeError, match=re.escape(f"AdapterResult({type(value).__name__}) may mean one message")
    ) as caught:
        AdapterResult(value)
    assert "AdapterResult(emitted=...)" in str(caught.value)
    assert "AdapterResult(message=...)" in str(caught.value)
    assert AdapterResult(message=value).message is value
    assert AdapterResult(emitted=value).emitted is value  # type: ignore[arg-type]  # any of them can be iterated


@pytest.mark.parametrize(
    "arguments", [{}, {"message": 1, "emitted": [1]}, {"headers": {}}, {"message": None, "emitted": []}]
)
def test_exactly_one_of_message_and_emitted_is_needed(arguments: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="exactly one of message= and emitted="):
        AdapterResult(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("arguments", [{"message": 2}, {"emitted": [2]}])
def test_a_value_without_a_name_beside_a_named_one_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="exactly one of message= and emitted="):
        AdapterResult(1, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["text", b"", {"n": 1}, Emit(1)])
def test_one_value_is_not_several(value: object) -> None:
    with pytest.raises(TypeError, match=re.escape("write emitted=[value]")):
        AdapterResult(emitted=value)  # type: ignore[arg-type]
