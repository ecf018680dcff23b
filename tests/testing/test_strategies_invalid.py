"""Drawn mistakes: each gives its code at its line, and nothing else; codes that are never drawn are listed, with why."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factflow_engine.config import CATALOGUE, PipelineConfigLoader
from factflow_engine.testing.strategies import INVALID_CODES, StrategyError, invalid_configs, registry_of_examples

LOADER = PipelineConfigLoader(registry_of_examples(), environ={})

NEVER_DRAWN = {
    "E003": "needs a megabyte of text",
    "E005": "needs aliases that expand to a million values",
    "E008": "bytes, and no text",
    "E016": "a path, and no text",
    "E020": "a number of hundreds of digits",
    "E021": "needs a large environment",
    "E108": "not yet: a second stage of a type without a name",
    "E206": "not yet: needs every level without a dead-letter queue",
    "E209": "needs the built-in store_object",
    "E306": "needs a queue that outlives the process",
    "E308": "a module", "E309": "a module", "E310": "a module", "E311": "a module",
    "E408": "needs a condition of ten thousand parts",
    "E413": "needs an operator of one's own",
    "E506": "not yet: shared limits that wait for one another",
}  # fmt: skip


@pytest.mark.parametrize("code", INVALID_CODES)
@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_mistake_gives_its_code_at_its_line_and_nothing_else(code: str, data: st.DataObject) -> None:
    text, drawn, line = data.draw(invalid_configs(codes=[code]))
    result = LOADER.check_text(text)
    assert drawn == code
    assert [(found.code, found.line) for found in result.errors] == [(code, line)], result.render()


def test_each_error_is_drawn_or_has_a_reason_not_to_be() -> None:
    errors = {code for code in CATALOGUE if code.startswith("E")}
    assert set(INVALID_CODES) | set(NEVER_DRAWN) == errors
    assert not set(INVALID_CODES) & set(NEVER_DRAWN)


def test_an_unknown_code_is_refused_at_once() -> None:
    with pytest.raises(StrategyError, match=r"codes: expected some of E001, .*, got 'W201'"):
        invalid_configs(codes=["W201"])
