"""Reading of test files: text to a checked model, or findings with lines and columns.

The engine's own YAML reader is used: bounded, and without code. Nothing of the environment is read: a test says the same on
every machine. Kept separate from `checks`, which needs the pipeline too.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from factflow_engine.config import ConfigurationError, Finding, Severity
from factflow_engine.config.codes_of_tests import ALL_CODES
from factflow_engine.config.model_errors import Codes, report_model_errors
from factflow_engine.config.nodes import START, MappingNode, plain_value
from factflow_engine.config.report import Report
from factflow_engine.config.text import TextProblem, check_text, decode, read_file
from factflow_engine.config.yaml import parse
from factflow_engine.testing.config_tests.completion import complete
from factflow_engine.testing.config_tests.models import TestFileModel

MOST_BYTES: Final = 8 * 1024 * 1024
"""Bound on a file of tests: that of a recorded run has its messages."""

_LEAST: Final = "write tests: and a list"

_CODES: Final = Codes(unknown="T101", missing="T102", kind="T103", value="T104")


class ConfigTestFileError(ConfigurationError):
    """Invalid test file, or a pipeline that its tests cannot run: its author must act. The text lists every finding."""

    def __init__(self, findings: tuple[Finding, ...], text: str = "") -> None:
        super().__init__(findings)
        self.source = text
        errors = sum(finding.severity is Severity.ERROR for finding in findings)
        self.args = (
            f"the tests cannot be run ({errors} error{'s' * (errors != 1)}):\n" + "\n".join(map(str, findings)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFile:
    """A test file that was read.

    Attributes:
        path: Its path, as given.
        text: Its text.
        root: Its tree, with short forms written out.
        model: Its content.
        findings: Warnings of its text.
    """

    path: Path
    text: str
    root: MappingNode
    model: TestFileModel
    findings: tuple[Finding, ...]


def read_tests(path: Path) -> ReadFile:
    """Return the content of a test file.

    Raises:
        ConfigTestFileError: It cannot be read, or has errors.
    """
    report = Report(str(path), catalogue=ALL_CODES)
    text = ""
    try:
        text = check_text(decode(read_file(path, MOST_BYTES), MOST_BYTES), MOST_BYTES)
    except TextProblem as problem:
        report.add(problem.code, problem.mark, problem.message, remedy=problem.remedy)
        raise ConfigTestFileError(report.findings()) from None
    root = parse(text, report)
    if root is None:
        found = (replace(each, remedy=_LEAST) if each.code == "E017" else each for each in report.findings())
        raise ConfigTestFileError(tuple(found), text)
    if not isinstance(root, MappingNode):
        report.add("T103", START, "expected a mapping of fields, such as tests:", remedy=_LEAST)
        raise ConfigTestFileError(report.findings(), text)
    complete(root)
    try:
        model = TestFileModel.model_validate(plain_value(root))
    except ValidationError as error:
        report_model_errors(error, root=root, at=START, prefix=(), model=TestFileModel, codes=_CODES, report=report)
        raise ConfigTestFileError(report.findings(), text) from None
    return ReadFile(path=path, text=text, root=root, model=model, findings=report.findings())
