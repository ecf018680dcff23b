"""Results of tests as JUnit XML, which CI systems read: a suite for each file, a case for each test and seed.

Kept separate from the results because its element names are other people's.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from xml.etree import ElementTree as ET

from factflow_engine.testing.config_tests.running import TestResult, Verdict

_REFUSED: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot carry, even escaped."""


def junit_xml(results: Sequence[tuple[TestResult, float]]) -> str:
    """Return results as XML.

    Args:
        results: Each result with the real seconds that it took.
    """
    files = dict.fromkeys(result.file for result, _ in results)
    root = ET.Element("testsuites", {"name": "factflow test", **_counted(results)})
    seeds = {(result.file, result.name): 0 for result, _ in results}
    for result, _ in results:
        seeds[result.file, result.name] += 1
    for file in files:
        own = [(result, seconds) for result, seconds in results if result.file == file]
        suite = ET.SubElement(root, "testsuite", {"name": _clean(file), **_counted(own)})
        for result, seconds in own:
            suite.append(_case(result, seconds, is_one_of_many=seeds[file, result.name] > 1))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(result: TestResult, seconds: float, *, is_one_of_many: bool) -> ET.Element:
    name = f"{result.name} [seed {result.seed}]" if is_one_of_many else result.name
    case = ET.Element(
        "testcase",
        {"classname": _clean(result.file), "name": _clean(name), "file": _clean(result.file), "time": f"{seconds:.3f}"},
    )
    properties = ET.SubElement(case, "properties")
    for key, value in (("seed", str(result.seed)), ("virtual_seconds", f"{result.seconds:.6f}")):
        ET.SubElement(properties, "property", {"name": key, "value": value})
    if not result.passed:
        kind = "error" if result.verdict is Verdict.ERROR else "failure"
        message = "; ".join(problem.what for problem in result.problems)
        failed = ET.SubElement(case, kind, {"message": _clean(message), "type": kind})
        failed.text = _clean("\n".join([*result.notes, result.text()]))
    return case


def _counted(results: Sequence[tuple[TestResult, float]]) -> Mapping[str, str]:
    verdicts = [result.verdict for result, _ in results]
    return {
        "tests": str(len(results)),
        "failures": str(verdicts.count(Verdict.FAIL)),
        "errors": str(verdicts.count(Verdict.ERROR)),
        "skipped": "0",
        "time": f"{sum(seconds for _, seconds in results):.3f}",
    }


def _clean(text: str) -> str:
    return _REFUSED.sub("\N{REPLACEMENT CHARACTER}", text)
