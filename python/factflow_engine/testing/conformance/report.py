"""Report of a run of checks: a verdict for each, printable as a table.

Kept separate from the runner because programs read reports of providers, sinks and adapters alike.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from factflow_engine.error_texts import bounded
from factflow_engine.testing.conformance.expectations import ConformanceError

SHOWN: Final = 300
"""Most characters of a failure in the table; the error of `raise_if_failed` has all of it."""


class Verdict(StrEnum):
    """Result of one check."""

    PASSED = "passed"
    FAILED = "FAILED"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """Verdict on one behaviour.

    Attributes:
        name: Name of the check, a sentence with underscores.
        verdict: The result.
        text: The failure, as expected and actual value, or the reason why the check does not apply; empty if it passed.
    """

    name: str
    verdict: Verdict
    text: str = ""


@dataclass(frozen=True, slots=True)
class ConformanceReport:
    """Verdicts of all checks of one provider, sink or adapter; `print(report)` shows them as a table.

    Attributes:
        subject: The object under test, in words.
        results: The verdicts, in the order in which the checks ran.
    """

    subject: str
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> tuple[CheckResult, ...]:
        """Checks that passed."""
        return self._of(Verdict.PASSED)

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """Checks that failed."""
        return self._of(Verdict.FAILED)

    @property
    def not_applicable(self) -> tuple[CheckResult, ...]:
        """Checks that do not apply, with the reason."""
        return self._of(Verdict.NOT_APPLICABLE)

    def raise_if_failed(self) -> None:
        """Do nothing if no check failed.

        Raises:
            ConformanceError: Some checks failed; the text lists all failures.
        """
        if self.failed:
            count = len(self.failed)
            lines = [f"{self.subject} fails {count} of {len(self.passed) + count} checks:"]
            lines += [f"- {result.name}: {result.text}" for result in self.failed]
            raise ConformanceError("\n".join(lines))

    def __str__(self) -> str:
        width = max((len(result.name) for result in self.results), default=0)
        verdicts = max(map(len, Verdict))
        rows = [
            f"{result.name:{width}}  {result.verdict:{verdicts}}  {bounded(result.text.replace(chr(10), ' '), SHOWN)}".rstrip()
            for result in self.results
        ]
        counts = f"{len(self.passed)} passed, {len(self.failed)} failed, {len(self.not_applicable)} not applicable"
        return "\n".join([f"{self.subject}: {counts}", *rows])

    def _of(self, verdict: Verdict) -> tuple[CheckResult, ...]:
        return tuple(result for result in self.results if result.verdict is verdict)
