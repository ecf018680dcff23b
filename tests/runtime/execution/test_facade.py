"""The object that users hold: what is not on it."""

from factflow_engine import PipelineOrchestrator


def test_what_only_the_manager_may_do_is_not_on_the_object_that_users_hold():
    assert not {"run", "discard", "request_stop"} & set(dir(PipelineOrchestrator))
