import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.field_paths import MISSING, FieldPath
from factflow_protocols import Reject

NAMES = st.text(min_size=1, max_size=6)


def quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.lists(NAMES, min_size=1, max_size=5), st.integers())
def test_any_names_can_be_written_in_quotes_and_what_is_set_is_got(names, value):
    path = FieldPath(".".join(quoted(name) for name in names))
    assert path.segments == tuple(names)
    message: dict[str, object] = {}
    path.set(message, value)
    assert path.get(message) == value
    assert path.pop(message) == value
    assert path.get(message) is MISSING


@given(st.text(max_size=12))
def test_text_is_a_path_or_a_value_error(text):
    try:
        path = FieldPath(text)
    except ValueError:
        with pytest.raises(ValueError, match="is not a field path"):
            FieldPath(text)
    else:
        assert path.segments
        assert path.get({}) is MISSING


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("a", ("a",)),
        ("a.b", ("a", "b")),
        ('headers."x.y"', ("headers", "x.y")),
        (r"a\.b.c", ("a.b", "c")),
        ("items[0].name", ("items", 0, "name")),
        ("grid[1][-1]", ("grid", 1, -1)),
        ("a.0.b", ("a", "0", "b")),
    ],
)
def test_written_forms(text, segments):
    assert FieldPath(text).segments == segments


@pytest.mark.parametrize("text", ["", ".a", "a.", "a..b", "a[", "a[x]", "a[0]b", '"a', "[0]", 'a"b', "a]"])
def test_what_is_no_path_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"write it like a\.b"):
        FieldPath(text)


def test_a_missing_field_is_told_from_null():
    assert FieldPath("a").get({"a": None}) is None
    assert FieldPath("b").get({"a": None}) is MISSING
    assert FieldPath("a.b").get({"a": None}) is MISSING
    assert FieldPath("a[2]").get({"a": [1]}) is MISSING


def test_a_required_field_that_is_missing_names_what_there_is():
    with pytest.raises(Reject, match=r"no field 'c'; it has a, b"):
        FieldPath("c").require({"b": 1, "a": 2})
    with pytest.raises(Reject, match="it is a list"):
        FieldPath("c").require([1])


@pytest.mark.parametrize(
    ("text", "message", "problem"),
    [
        ("a.b", {"a": 1}, "is an integer, not a map"),
        ("a[3]", {"a": [1]}, "is a list, not a list that is long enough"),
        ("a[0]", {}, "is missing"),
    ],
)
def test_setting_through_what_is_no_container_is_rejected(text, message, problem):
    with pytest.raises(Reject, match=problem):
        FieldPath(text).set(message, 1)


def test_list_elements_are_set_but_not_removed():
    message = {"a": [1, {"b": 2}]}
    FieldPath("a[0]").set(message, 5)
    FieldPath("a[1].c").set(message, 6)
    assert message == {"a": [5, {"b": 2, "c": 6}]}
    with pytest.raises(Reject, match="cannot be removed"):
        FieldPath("a[0]").pop(message)
    assert FieldPath("a[9]").pop(message) is MISSING
