"""Collects findings while a document is checked: fills in remedies, drops repeats, keeps secrets out, sorts.

Apart from the findings because it knows the tree and the catalogue, and findings are plain values.
"""

from collections.abc import Mapping
from typing import Final

from factflow_engine.config.catalogue import code_of
from factflow_engine.config.codes import Severity
from factflow_engine.config.findings import Finding
from factflow_engine.config.nodes import Mark, Path, dotted

_SHORTEST_SECRET: Final = 4
_CAUSES: Final = {"E007": 0, "E019": 0, "E103": 1}
"""Findings from which others follow at the same place, most telling first."""
_LAST: Final = 2


class Report:
    """The findings of one document, as they are found."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._findings: dict[tuple[str, int, int, str], Finding] = {}
        # Values of the environment and how they are written; grows while references are resolved.
        self.secrets: dict[str, str] = {}

    def add(self, code: str, mark: Mark, message: str, *, path: Path = (), remedy: str = "") -> None:
        """Add a finding; the same one at the same place is kept once, under its shortest path."""
        entry = code_of(code)
        finding = Finding(
            code=code,
            severity=entry.severity,
            file=self._file,
            line=mark.line,
            column=mark.column,
            path=dotted(path),
            message=scrub(message or entry.title, self.secrets),
            remedy=scrub(remedy or entry.remedy, self.secrets),
        )
        key = (code, mark.line, mark.column, finding.message)
        known = self._findings.get(key)
        if known is None or len(finding.path) < len(known.path):
            self._findings[key] = finding

    @property
    def has_errors(self) -> bool:
        """Whether the configuration cannot be run."""
        return any(finding.severity is Severity.ERROR for finding in self._findings.values())

    def findings(self) -> tuple[Finding, ...]:
        """All of them in file order. What follows from another one at its place is left out."""
        causes: dict[tuple[int, int], int] = {}
        for found in self._findings.values():
            place = (found.line, found.column)
            causes[place] = min(causes.get(place, _LAST), _CAUSES.get(found.code, _LAST))
        kept = [
            found
            for found in self._findings.values()
            if _CAUSES.get(found.code, _LAST) == causes[found.line, found.column]
        ]
        return tuple(sorted(kept, key=lambda found: (found.line, found.column, found.code, found.path)))


def scrub(text: str, secrets: Mapping[str, str]) -> str:
    """The text with values of the environment replaced by their references; the last line of defence.

    What is shorter than four characters is left: it would garble every text and hide nothing.
    """
    for value in sorted(secrets, key=len, reverse=True):
        if len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, secrets[value])
    return text
