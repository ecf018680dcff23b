"""Descriptions of errors whose classes raise wherever they are examined."""

import pytest

from factflow_engine.error_texts import (
    class_name,
    class_names,
    describe,
    error_text,
    leaves,
    noted,
    qualified_name,
    set_context,
    sole_cause,
    trace_of,
)
from support.hostile_errors import HOSTILE, HostileGroup


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_whatever_an_error_is_it_can_be_described(make):
    error = make()
    name = type.__dict__["__name__"].__get__(type(error))
    assert class_name(error) == name
    assert class_names(error)[0] == name
    assert qualified_name(error).endswith(name)
    assert describe(error).startswith(f"{class_name(sole_cause(error))}: ")
    assert type(error_text(error)) is str
    assert class_name(sole_cause(error)) in trace_of(error)
    set_context(error, OSError())


@pytest.mark.parametrize("make", HOSTILE.values(), ids=HOSTILE)
def test_a_note_is_on_the_error_or_the_error_on_the_note(make):
    error, failure = make(), ValueError("left open")
    found = noted(error, failure)
    if found is failure:
        assert failure.__notes__ == [f"beside {describe(error)}"]
    else:
        assert found.__notes__ == ["left open"]


def test_a_group_that_hides_its_contents_is_looked_through():
    cause = OSError("down")
    group = HostileGroup("two", [HostileGroup("one", [cause]), KeyError("n")])
    assert set(map(type, leaves(group))) == {OSError, KeyError}
    assert sole_cause(HostileGroup("one", [cause])) is cause
    assert describe(HostileGroup("one", [cause])) == "OSError: down"
