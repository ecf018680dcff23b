"""Every finding of a file of tests: its code, its place, its text, and what to write instead."""

import re

import pytest

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.config.codes_of_tests import TEST_CODES
from factflow_engine.testing.config_tests.reading import ConfigTestFileError, read_tests
from factflow_engine.testing.config_tests.suites import open_suite

STAGES = "stages: {orders/price: {forwards: true}, letters/send: {forwards: true}}\n"


def a_test(lines: str, top: str = STAGES) -> str:
    return f"{top}tests:\n  - name: it\n" + "".join(f"    {line}\n" for line in lines.splitlines())


CASES = [
    # code, text with the place marked >>>, parts of the message, parts of the remedy
    ("T101", a_test(">>>sede: 1\nexpect: {}"), "no field 'sede'", "write 'seed'"),
    ("T101", a_test("expect: {outputs: {/queue/small: [{contains: 1, >>>kye: a}]}}"), "no field 'kye'", "write 'key'"),
    ("T101", a_test("expect:\n  >>>oucomes: {}"), "no field 'oucomes'", "write 'outcomes'"),
    ("T102", f"{STAGES}tests:\n  - >>>name: it\n", "'expect' is missing", "add expect:"),
    ("T104", f"{STAGES}tests: >>>[]\n", "1 or more elements, got 0", ""),
    ("T102", a_test("stages: {orders/price: {cases: [>>>{input: 1}]}}\nexpect: {}"), "expected an answer, got none", "add returns:"),
    ("T103", a_test("seed: >>>soon\nexpect: {}"), "expected a whole number, got 'soon'", ""),
    ("T103", ">>>[1]", "expected a mapping", "write tests:"),
    ("T103", a_test("stages: {orders/price: {fails: >>>often}}\nexpect: {}"), "expected a mapping, got 'often'", ""),
    ("T104", a_test("seed: >>>-1\nexpect: {}"), "greater than or equal to 0, got -1", ""),
    ("T104", a_test("queue: >>>kafka://\nexpect: {}"), "sqlite://, got 'kafka://'", ""),
    ("T104", a_test("processes: >>>2\nexpect: {}"), "belong to one process, got 2", ""),
    ("T104", a_test("expect: {order: >>>sorted}"), "'any', 'key' or 'exact', got 'sorted'", ""),
    ("T104", a_test("stages: {orders/price: {filters: >>>false}}\nexpect: {}"), "expected True, got false", ""),
    ("T105", a_test("stages: {orders/price: >>>{returns: 1, emits: []}}\nexpect: {}"), "got returns and emits", "keep one"),
    ("T105", a_test("stages: {orders/price: >>>{raises: x, returns: 1}}\nexpect: {}"), "got raises and returns", "keep one"),
    ("T105", a_test("stages: {orders/price: {cases: [>>>{input: 1, when: {field: a, operator: eq, value: 1}, returns: 1}]}}\nexpect: {}"), "got input and when", "keep one"),
    ("T105", a_test("stages: {orders/price: {times: >>>{}}}\nexpect: {}"), "one distribution, got none", "write {constant"),
    ("T106", a_test("inputs: [{route: >>>order, payload: 1}]\nexpect: {}"), "no route 'order'", "write 'orders'"),
    ("T106", a_test("stages: {>>>orders/prize: {returns: 1}}\nexpect: {}"), "no stage 'orders/prize'", "write 'orders/price'"),
    ("T106", a_test("allow: [>>>letters/sent]\nexpect: {}"), "no stage 'letters/sent'", "write 'letters/send'"),
    ("T106", a_test("expect: {outputs: {>>>/queue/smal1: []}}"), "no queue '/queue/smal1'", "write '/queue/small'"),
    ("T106", a_test("expect: {outputs: {>>>/queue/letters: []}}"), "route 'letters' reads the queue", "under outcomes: or calls:"),
    ("T106", a_test("expect: {outcomes: {>>>mails: {}}}"), "no route 'mails'", "one of: orders, letters"),
    ("T106", a_test("expect: {calls: {>>>orders/x: 1}}"), "no stage 'orders/x'", ""),
    ("T106", a_test("expect: {reached: [>>>letter]}"), "no route or stage 'letter'", "write 'letters'"),
    ("T106", a_test("expect: {not_reached: [>>>letter]}"), "no route or stage 'letter'", "write 'letters'"),
    ("T106", a_test("expect: {failures: [{route: >>>ordres}]}"), "no route 'ordres'", "write 'orders'"),
    ("T106", a_test("faults: [{fault: fail_stage, stage: >>>orders/prize}]\nexpect: {}"), "no stage 'orders/prize'", ""),
    ("T107", a_test("faults: [>>>{fault: earthquake}]\nexpect: {}"), "one of duplicate,", "write {fault: fail_stage"),
    ("T107", a_test("faults: [>>>{fault: fail_stage, stage: orders/price, nth: 0}]\nexpect: {}"), "FailStage.nth: expected a number from 1, got 0", ""),
    ("T108", a_test("expect: {}", top="stages: {orders/price: {forwards: true}}\n").replace("name: it", "name: >>>it"), "'letters/send' reaches outside the test: its adapter is http_request", "add letters/send: {forwards: true} under stages:"),
    ("T108", "pipeline: files.yaml\ntests: [{name: >>>it, expect: {}}]\n", "its adapter is read_lines", "or allow: [find/read_lines]"),
    ("T109", a_test("expect: {}") + "  - name: >>>it\n    expect: {}\n", "a test named 'it' already", ""),
    ("T111", a_test("expect: {}", top="stages: {letters/send: {forwards: true}}\n").replace("name: it", "name: >>>it"), "adapter type 'acme.price' of stage 'orders/price' is not installed", "add orders/price: {forwards: true}"),
    ("T112", a_test("inputs: [{route: orders, payload: >>>{$bytes: '*'}}]\nexpect: {}"), "$bytes: expected base64, got '*'", "write {$bytes"),
    ("T112", a_test("inputs: [{route: orders, payload: {a: >>>{$timestamp: now}}}]\nexpect: {}"), "expected [seconds, nanoseconds]", ""),
    ("E002", a_test("expect: {}\nseed: 1\n>>>seed: 2"), "'seed' is on line", ""),
    ("E401", a_test("stages: {orders/price: {cases: [{when: {field: a, operator: >>>equal, value: 1}, returns: 1}]}}\nexpect: {}"), "equal", ""),
    ("E401", a_test("expect: {outputs: {/queue/small: [{matches: {field: a, operator: >>>equal, value: 1}}]}}"), "equal", ""),
    ("E403", a_test("expect: {failures: [{route: orders, error: >>>'('}]}"), "", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "text", "message", "remedy"), CASES, ids=[f"{case[0]}-{place}" for place, case in enumerate(CASES)]
)
def test_a_finding_has_its_code_its_place_and_a_remedy(suite, tmp_path, code, text, message, remedy) -> None:
    before, _, after = text.partition(">>>")
    place = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    (tmp_path / "files.yaml").write_text("version: '1.0'\nroutes: {find: {adapters: [{type: read_lines}]}}\n")
    with pytest.raises(ConfigTestFileError) as raised:
        suite(before + after)
    found = [each for each in raised.value.findings if each.line == place[0] and each.column == place[1]]
    assert found, str(raised.value)
    assert found[0].code == code, str(raised.value)
    assert message in found[0].message, str(raised.value)
    assert remedy in found[0].remedy, str(raised.value)
    assert len(raised.value.findings) == 1, str(raised.value)
    assert raised.value.source == before + after


def test_every_code_has_a_case() -> None:
    elsewhere = {"T110"}  # below
    assert set(TEST_CODES) - {case[0] for case in CASES} == elsewhere


def test_a_pipeline_that_is_named_nowhere_is_a_finding(tmp_path) -> None:
    file = tmp_path / "some.yaml"
    file.write_text("tests: [{name: it, expect: {}}]\n", encoding="utf-8")
    with pytest.raises(ConfigTestFileError, match="T110 the file's name does not say which pipeline is tested"):
        open_suite(read_tests(file), ValidatingAdapterRegistry())
    with pytest.raises(ConfigTestFileError, match=r"nowhere\.test\.yaml:1:1: E016"):
        read_tests(tmp_path / "nowhere.test.yaml")


@pytest.mark.parametrize(
    ("named", "place"),
    [("pipeline: there/is-none.yaml\n", "1:11: T110 the pipeline .*is-none.yaml"), ("", "1:1: T110 .*it.yaml")],
)
def test_a_pipeline_that_is_not_there_is_a_finding_where_it_is_named(tmp_path, named, place) -> None:
    file = tmp_path / "it.test.yaml"
    file.write_text(f"{named}tests: [{{name: it, expect: {{}}}}]\n", encoding="utf-8")
    with pytest.raises(ConfigTestFileError, match=rf"it\.test\.yaml:{place} cannot be read: the file does not exist"):
        open_suite(read_tests(file), ValidatingAdapterRegistry())


def test_the_findings_of_the_pipeline_are_the_pipelines(suite) -> None:
    pipeline = 'version: "1.0"\nname: ${SHOP_NAME}\nroutes: {orders: {adapters: [{type: log}]}}\n'
    text = "tests: [{name: it, inputs: [{route: orders, payload: 1}], expect: {}}]\n"
    with pytest.raises(ConfigTestFileError) as raised:
        suite(text, pipeline)
    assert re.search(r"shop\.yaml:2:7: E007", str(raised.value))
    assert "under environment: of the test file" in str(raised.value)
    assert raised.value.source == pipeline
    assert suite(f"environment: {{SHOP_NAME: x}}\n{text}", pipeline).config.name == "x"


def test_the_process_environment_is_not_seen(suite, monkeypatch) -> None:
    monkeypatch.setenv("SHOP_NAME", "of the machine")
    pipeline = 'version: "1.0"\nname: ${SHOP_NAME:closed}\nroutes: {orders: {adapters: [{type: log}]}}\n'
    assert suite("tests: [{name: it, expect: {}}]\n", pipeline).config.name == "closed"


@pytest.mark.parametrize("text", ["", "# nothing\n", "[]\n"])
def test_a_file_without_tests_is_told_to_have_some(tmp_path, text) -> None:
    file = tmp_path / "shop.test.yaml"
    file.write_text(text)
    with pytest.raises(ConfigTestFileError) as raised:
        read_tests(file)
    assert [finding.remedy for finding in raised.value.findings] == ["write tests: and a list"]
