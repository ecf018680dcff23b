"""Queue names of the in-process provider."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factflow_engine.queues.naming import memory_queue_name_problem

SEGMENT = st.text("abcXYZ019._-", min_size=1, max_size=10)


@given(st.sampled_from(["queue", "topic"]), st.lists(SEGMENT, min_size=1, max_size=4))
def test_segments_under_queue_or_topic_are_names(kind, segments):
    assert memory_queue_name_problem("/".join(["", kind, *segments])) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x",
        "/queue",
        "/queue/",
        "queue/x",
        "/queue//x",
        "/queue/x/",
        "/queue/a b",
        "/other/x",
        "/queue/é",
        "/queue/x\n",
    ],
)
def test_anything_else_is_refused_with_a_name_that_would_do(name):
    problem = memory_queue_name_problem(name)
    assert problem is not None
    suggestion = problem.rsplit("write ", 1)[1].strip("'\"")
    assert memory_queue_name_problem(suggestion) is None


def test_a_name_may_not_be_endless():
    assert "at most 255" in memory_queue_name_problem("/queue/" + "x" * 300)


@given(st.text(max_size=300))
def test_no_text_breaks_the_check(name):
    memory_queue_name_problem(name)
