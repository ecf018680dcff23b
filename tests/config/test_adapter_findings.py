"""What adapters' own models say becomes findings where it was written."""

import pytest
from jsonschema import Draft202012Validator

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.config import PipelineConfigLoader, config_schema


def findings(stage: str) -> list[tuple[str, int, int]]:
    text = f'version: "1.0"\nroutes:\n  r:\n    adapters:\n      - {stage}\n'
    result = PipelineConfigLoader(ValidatingAdapterRegistry()).check_text(text)
    return [(finding.code, finding.line, finding.column) for finding in result.errors]


def test_the_problems_of_an_adapters_condition_keep_their_codes_and_places() -> None:
    stage = '{type: filter, config: {condition: {field: "a[", operator: eqq, value: 1}}}'
    assert findings(stage) == [("E404", 5, 9 + stage.index('"a["')), ("E401", 5, 9 + stage.index("eqq"))]


@pytest.mark.parametrize("written", ['"1.5"', "'2'", "true"])
def test_a_text_is_no_number_for_the_loader_nor_for_the_schema(written: str) -> None:
    stage = f"{{type: delay, config: {{seconds: {written}}}}}"
    assert findings(stage) == [("E303", 5, 9 + stage.index(written))]
    value = {"'2'": "2", '"1.5"': "1.5", "true": True}[written]
    document = {"version": "1.0", "routes": {"r": {"adapters": [{"type": "delay", "config": {"seconds": value}}]}}}
    assert list(Draft202012Validator(config_schema(ValidatingAdapterRegistry())).iter_errors(document))
