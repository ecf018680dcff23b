"""The `lineage` section: its defaults, its findings, and settings that its mode makes meaningless."""

import json

import pytest

from factflow_engine.config import PipelineConfigLoader
from support.pipelines import registry_of

ROUTE = 'version: "1.0"\nroutes: {r: {adapters: [{type: forward}]}}\n'


def check(section):
    return PipelineConfigLoader(registry_of()).check_text(f"{ROUTE}lineage: {section}\n")


def test_without_a_section_nothing_is_recorded_and_with_one_everything_is():
    loader = PipelineConfigLoader(registry_of())
    assert loader.load_text(ROUTE).lineage is None
    section = loader.load_text(f"{ROUTE}lineage: {{}}\n").lineage
    assert (section.mode, section.hash_payloads, section.record_values) == ("full", False, True)
    assert section.retention_bytes == 10 * 2**30


def test_off_is_a_word_and_not_a_boolean():
    assert check("{mode: off}").config.lineage.mode == "off"


@pytest.mark.parametrize(
    "section",
    [
        "{mode: of}",
        "{mode: false}",
        "{mode: sampled, sample_rate: 0}",
        "{mode: sampled, sample_rate: 1.5}",
        "{mode: sampled, sample_rate: .nan}",
        "{retention_days: 0}",
        "{retention_bytes: 10}",
        "{buffer_bytes: 1}",
        "{finish_seconds: -1}",
        "{hash_payloads: maybe}",
    ],
)
def test_a_wrong_value_is_one_finding_at_its_place(section):
    result = check(section)
    [found] = [found for found in result.findings if found.code.startswith("E")]
    assert found.line == 3
    assert found.path.startswith("lineage.")
    assert found.remedy


def test_a_misspelt_setting_is_named():
    [found] = check("{sample_rat: 0.5, mode: sampled}").findings
    assert "sample_rate" in f"{found.message} {found.remedy}"


@pytest.mark.parametrize(
    ("section", "names"),
    [
        ("{mode: full, sample_rate: 0.5}", ["sample_rate"]),
        ("{sample_rate: 0.5}", ["sample_rate"]),
        ("{mode: sampled, sample_rate: 0.5}", []),
        ("{mode: off, hash_payloads: true, retention_days: null}", ["hash_payloads", "retention_days"]),
        ("{mode: off}", []),
    ],
)
def test_a_setting_that_the_mode_makes_meaningless_is_a_warning(section, names):
    findings = check(section).findings
    assert [found.code for found in findings] == ["W501"] * len(names)
    assert sorted(found.path.removeprefix("lineage.") for found in findings) == names


@pytest.mark.parametrize("mode", ["off", "sampled", "full"])
def test_the_complete_form_of_a_section_loads_without_findings(mode):
    config = check(f"{{mode: {mode}}}").config
    complete = f"{ROUTE}lineage: {json.dumps(config.to_mapping()['lineage'])}\n"
    result = PipelineConfigLoader(registry_of()).check_text(complete)
    assert (result.config, result.findings) == (config, ())


@pytest.mark.parametrize("mode", ["full", "off"])
def test_a_store_that_cannot_be_opened_is_found_when_the_file_is_loaded(mode):
    findings = check(f"{{mode: {mode}, url: 'sqlite:///a?retention=1'}}").findings
    [found] = [found for found in findings if found.code.startswith("E")]
    assert (found.code, found.path, found.line) == ("E210", "lineage.url", 3)
    assert "did you mean 'retention_days'?" in found.message


def test_a_secret_url_is_not_shown():
    text = f"{ROUTE}lineage: {{url: '${{URL}}'}}\n"
    environ = {"URL": "postgres://user:hunter2@host/base?hunter3=1"}
    [found] = PipelineConfigLoader(registry_of(), environ=environ).check_text(text).findings
    assert found.code == "E210"
    assert "hunter" not in f"{found}"


def test_nothing_foreign_is_imported_to_check_a_url(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text(f"{ROUTE}lineage: {{url: 'gopher://x'}}\n")
    result = PipelineConfigLoader(registry_of()).check(file, imports=False)
    assert result.findings == ()
    assert [each.path for each in result.unchecked] == ["lineage.url"]


@pytest.mark.parametrize("name", ["retention_days", "retention_bytes"])
def test_the_complete_form_keeps_a_limit_that_is_switched_off(name):
    config = check(f"{{{name}: null}}").config
    again = PipelineConfigLoader(registry_of()).load_text(config.to_yaml())
    assert again == config
    assert getattr(again.lineage, name) is None
