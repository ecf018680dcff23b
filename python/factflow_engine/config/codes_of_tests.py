"""Catalogue of the findings that a file of tests can have besides those of YAML and of conditions.

Kept separate from the loader's catalogue because the loader never reads such a file, and here because the command and the
documentation list all codes. Codes are stable; a code is never reused for another meaning.
"""

from typing import Final

from factflow_engine.config.catalogue import CATALOGUE
from factflow_engine.config.codes import FAMILIES
from factflow_engine.finding_code import Code

# fmt: off
_ROWS: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("T101", "unknown field", "A test file has no such field here; it would be ignored silently.", "remove it"),
    ("T102", "missing field", "The field is needed.", "add it"),
    ("T103", "wrong kind of value", "The value is of another kind than the field.", "write a value of the kind that is expected"),
    ("T104", "refused value", "The value is of the right kind, and not one that the field can have.", "write one of the values that are expected"),
    ("T105", "fields that exclude each other", "Only one of these fields can be meant.", "keep one of them"),
    ("T106", "unknown name", "The pipeline has no route, stage or queue of this name.", "write a name of the pipeline"),
    ("T107", "unusable fault", "The fault cannot be read: `factflow_engine.testing` names the faults and their fields.", "write {fault: fail_stage, stage: route/stage, nth: 1}, for example"),
    ("T108", "stage that reaches outside", "The stage's adapter reads or writes outside the test, and the test does not say what it answers.", "say what it answers under stages:; one that only reads files may be named under allow:"),
    ("T109", "repeated name", "Two tests of a file have one name; reports and --only could not tell them apart.", "give each test a name of its own"),
    ("T110", "unusable pipeline", "The pipeline of the tests cannot be read, or has errors of its own.", "correct the pipeline, or the path under pipeline:"),
    ("T111", "adapter not installed", "The stage's adapter is not installed, and the test does not say what the stage answers.", "say what it answers under stages:, or give its module with --adapters"),
    ("T112", "malformed value", "A map whose only key is $bytes, $timestamp, $ext or $map stands for a value that YAML cannot say.", "write {$bytes: base64}, {$timestamp: [seconds, nanoseconds]}, {$ext: [code, base64]} or {$map: {...}}"),
)
# fmt: on

TEST_CODES: Final[dict[str, Code]] = {
    code: Code(code=code, title=title, explanation=explanation, remedy=remedy)
    for code, title, explanation, remedy in _ROWS
}
"""Findings of files of tests alone."""

ALL_CODES: Final[dict[str, Code]] = {**CATALOGUE, **TEST_CODES}
"""Every code that a finding can have, of a configuration or of a file of tests."""

FAMILY: Final = "Tests"
"""Family of the codes of files of tests."""


def family_of(code: str) -> str:
    """Return the family of a code, for people."""
    return FAMILY if code in TEST_CODES else FAMILIES[code[1]]
