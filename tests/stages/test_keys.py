"""Keys of stored objects: what is made is parsed back, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.stages.keys import (
    StageKey,
    execution_prefix,
    extension_problem,
    object_key,
    parse_key,
    stage_prefix,
)

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", fullmatch=True)
IDS = st.integers(0, 2**128 - 1).map(lambda number: f"{number:032x}")
EXTENSIONS = st.just("") | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,15}", fullmatch=True)


@given(execution=NAMES, route=NAMES, stage=NAMES, message=IDS, extension=EXTENSIONS)
def test_a_key_is_parsed_back(execution, route, stage, message, extension):
    key = object_key(execution, route, stage, message, extension)
    assert parse_key(key) == StageKey(execution, route, stage, message, extension)
    assert str(parse_key(key)) == key
    assert key.startswith(stage_prefix(execution, route, stage))
    assert key.startswith(execution_prefix(execution))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "executions/e/r/s/" + "0" * 31,
        "executions/e/r/s/" + "0" * 33,
        "executions/e/r/s/" + "G" * 32,
        "executions/e/r/s/t/" + "0" * 32,
        "executions/e/r/" + "0" * 32,
        "other/e/r/s/" + "0" * 32,
        "executions/e/r/s/" + "0" * 32 + ".",
        "executions/e/r/s/" + "0" * 32 + ".a/b",
        "/executions/e/r/s/" + "0" * 32,
        "executions/e/r/s/" + "0" * 32 + "\n",
    ],
)
def test_other_keys_are_of_no_stage(key):
    assert parse_key(key) is None


@pytest.mark.parametrize("extension", ["html", "tar.gz", "MD", "x_1", "a.b.c"])
def test_extensions(extension):
    assert extension_problem(extension) is None


@pytest.mark.parametrize(
    "extension",
    ["", ".", "..", "a/b", "a b", "../x", "a..b", "x" * 17, "meta.json", "X.Meta.JSON", "é", "a\n", "a.b.c.d"],
)
def test_what_is_no_extension(extension):
    assert extension_problem(extension) is not None
