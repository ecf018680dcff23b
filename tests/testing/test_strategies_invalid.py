"""Drawn mistakes: each gives its code at its line, and nothing else; codes that are never drawn are listed, with why."""

import pytest
from hypothesis import Phase, given, settings
from hypothesis import find as smallest
from hypothesis import strategies as st

from factflow_engine.config import CATALOGUE, PipelineConfigLoader
from factflow_engine.testing.strategies import INVALID_CODES, StrategyError, invalid_configs, registry_of_examples

LOADER = PipelineConfigLoader(registry_of_examples(), environ={})
FOUND = settings(max_examples=200, database=None, derandomize=True, phases=[Phase.generate, Phase.shrink])

NEVER_DRAWN = {
    "E003": "needs a megabyte of text",
    "E008": "bytes, and no text",
    "E016": "a path, and no text",
    "E021": "needs a large environment",
    "E209": "needs the built-in store_object",
    "E306": "needs a queue that outlives the process",
    "E308": "a module", "E309": "a module", "E310": "a module", "E311": "a module",
    "E408": "needs a condition of ten thousand parts",
    "E413": "needs an operator of one's own",
}  # fmt: skip


@pytest.mark.parametrize("code", INVALID_CODES)
@settings(max_examples=8)
@given(data=st.data())
def test_a_mistake_gives_its_code_at_its_line_and_nothing_else(code: str, data: st.DataObject) -> None:
    text, drawn, line = data.draw(invalid_configs(codes=[code]))
    result = LOADER.check_text(text)
    assert drawn == code
    assert [(found.code, found.line) for found in result.errors] == [(code, line)], result.render()


def check_the_plainest_text_of(code: str) -> None:
    text, _, line = smallest(invalid_configs(codes=[code]), lambda drawn: True, settings=FOUND)
    assert [(found.code, found.line) for found in LOADER.check_text(text).errors] == [(code, line)]
    assert len(text.splitlines()) <= 6, text


@pytest.mark.parametrize("code", ["E005", "E017", "E108", "E206", "E505", "E506"])
def test_the_plainest_text_with_a_mistake_is_short(code: str) -> None:
    check_the_plainest_text_of(code)


@pytest.mark.slow
@pytest.mark.parametrize("code", INVALID_CODES)
def test_the_plainest_text_of_every_code_is_short(code: str) -> None:
    check_the_plainest_text_of(code)


def test_each_error_is_drawn_or_has_a_reason_not_to_be() -> None:
    errors = {code for code in CATALOGUE if code.startswith("E")}
    assert set(INVALID_CODES) | set(NEVER_DRAWN) == errors
    assert not set(INVALID_CODES) & set(NEVER_DRAWN)


def test_an_unknown_code_is_refused_at_once() -> None:
    with pytest.raises(StrategyError, match=r"codes: expected some of E001, .*, got 'W201'"):
        invalid_configs(codes=["W201"])
