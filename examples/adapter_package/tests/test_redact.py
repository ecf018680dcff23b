"""The adapter alone, its configuration, and in a pipeline: what an author of adapters tests."""

import pytest
import trio
from factflow_redact import Redact, RedactConfig

from factflow_engine import (
    ConfigurationError,
    OrchestratorManager,
    PipelineConfigLoader,
    ValidatingAdapterRegistry,
    auto_discover_and_register,
)
from factflow_engine.testing import Simulation, check_adapter, in_virtual_time
from factflow_engine.testing.fakes import FakeContext
from factflow_protocols import Reject


def pipeline(config: str) -> str:
    return f'{{version: "1.0", routes: {{mask: {{adapters: [{{type: redact, config: {config}}}]}}}}}}'


def discovered() -> ValidatingAdapterRegistry:
    registry = ValidatingAdapterRegistry()
    report = auto_discover_and_register(registry)
    assert report.problems == ()
    return registry


def test_addresses_are_masked_in_the_named_fields_alone() -> None:
    adapter = Redact(RedactConfig(fields=("text",), mask="***"))
    message = {"text": "from a.b@example.org, to c@example.net.", "reply": "d@example.org"}
    result = trio.run(adapter.process, FakeContext(message))
    assert result.message == {"text": "from ***, to ***.", "reply": "d@example.org"}


def test_a_missing_field_is_passed_over() -> None:
    assert trio.run(Redact(RedactConfig(fields=("text",))).process, FakeContext({"n": 1})).message == {"n": 1}


def test_a_field_that_is_no_text_rejects_the_message() -> None:
    with pytest.raises(Reject, match="expected text in the field 'n', got int"):
        trio.run(Redact(RedactConfig(fields=("n",))).process, FakeContext({"n": 1}))


def test_it_bears_whatever_an_execution_does_to_it() -> None:
    messages = [{"text": "from a.b@example.org"}, {"text": "to c@example.net"}, {"text": "nothing to mask"}]
    check_adapter(Redact, config={"fields": ["text"]}, messages=messages).raise_if_failed()


def test_the_installed_package_is_found_by_its_entry_point() -> None:
    assert discovered().get("redact").adapter_class is Redact


@pytest.mark.parametrize("config", ["{}", "{fields: []}", "{fields: [text], msk: x}"])
def test_a_wrong_configuration_is_a_finding_with_its_line(config: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PipelineConfigLoader(discovered()).load_text(pipeline(config))
    assert [finding.code[:2] for finding in caught.value.findings] == ["E3"]


def test_a_pipeline_completes_what_it_masked_and_fails_what_it_rejected() -> None:
    registry = discovered()
    config = PipelineConfigLoader(registry).load_text(pipeline("{fields: [text]}"))

    async def run(simulation: Simulation) -> dict[str, int]:
        async with OrchestratorManager(registry=registry, seams=simulation.seams) as manager:
            execution = await manager.start(config)
            for message in ({"text": "a@example.org"}, {"text": "none"}, {"text": 1}):
                await execution.publish("mask", message)
            report = await execution.complete()
        return {str(outcome): count for outcome, count in report.outcomes.items() if count}

    assert in_virtual_time(run, seed=1) == {"completed": 2, "failed": 1}
