"""JUnit XML: its elements, as CI systems read them, and characters that it cannot carry."""

from dataclasses import replace
from xml.etree import ElementTree as ET

from factflow_engine.testing.config_tests.expectations import Problem
from factflow_engine.testing.config_tests.junit import junit_xml
from factflow_engine.testing.config_tests.running import TestResult, Verdict

PASSED = TestResult(
    file="a.test.yaml", name="<one>", seed=3, verdict=Verdict.PASS, problems=(), notes=(), seconds=2.5, trace=""
)
PROBLEM = Problem(what="outputs of /queue/\x00x", expected="- \x1b[31m1\n", actual="- 2 \ud83d\ufffe\n")
FAILED = replace(PASSED, verdict=Verdict.FAIL, problems=(PROBLEM, PROBLEM), notes=("a note",))
BROKEN = replace(FAILED, file="b.test.yaml", name="two", verdict=Verdict.ERROR)


def test_it_can_be_read() -> None:
    text = junit_xml(
        [(PASSED, 0.25), (replace(FAILED, name="two", seed=1), 0.5), (replace(FAILED, name="two"), 0.5), (BROKEN, 1)]
    )
    root = ET.fromstring(text.encode())
    assert root.tag == "testsuites"
    assert root.attrib == {
        "name": "factflow test",
        "tests": "4",
        "failures": "2",
        "errors": "1",
        "skipped": "0",
        "time": "2.250",
    }
    assert [(suite.tag, suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("errors")) for suite in root] == [
        ("testsuite", "a.test.yaml", "3", "2", "0"), ("testsuite", "b.test.yaml", "1", "0", "1"),
    ]  # fmt: skip
    cases = root.findall("*/testcase")
    assert [(case.get("name"), case.get("classname"), case.get("time")) for case in cases] == [
        ("<one>", "a.test.yaml", "0.250"), ("two [seed 1]", "a.test.yaml", "0.500"), ("two [seed 3]", "a.test.yaml", "0.500"),
        ("two", "b.test.yaml", "1.000"),
    ]  # fmt: skip
    assert [[child.tag for child in case] for case in cases] == [
        ["properties"],
        ["properties", "failure"],
        ["properties", "failure"],
        ["properties", "error"],
    ]
    assert [(one.get("name"), one.get("value")) for one in cases[0].iter("property")] == [
        ("seed", "3"),
        ("virtual_seconds", "2.500000"),
    ]
    failure = cases[1].find("failure")
    assert failure is not None
    assert failure.get("message") == "outputs of /queue/\ufffdx; outputs of /queue/\ufffdx"
    assert failure.text is not None
    assert failure.text.startswith("a note\noutputs of /queue/\ufffdx\n--- expected\n+++ actual\n")
    assert "+- 2 \ufffd\ufffd" in failure.text


def test_no_results_are_a_document_too() -> None:
    assert ET.fromstring(junit_xml([])).get("tests") == "0"
