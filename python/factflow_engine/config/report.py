"""Collection of findings while a document is checked: adds remedies, drops repeats, hides secrets, sorts.

Kept separate from the findings because it needs the tree and the catalogue, and findings are plain values.
"""

from collections.abc import Mapping
from typing import Final

from factflow_engine.config.catalogue import CATALOGUE
from factflow_engine.config.findings import Finding, Unchecked
from factflow_engine.config.hiding import Hiding
from factflow_engine.config.nodes import Mark, Path, dotted
from factflow_engine.config.suggestions import Suggestions
from factflow_engine.finding_code import Code, Severity

_CAUSES: Final = {"E007": 0, "E019": 0, "E103": 1}
"""Findings that cause others at the same place, the most telling first."""
_LAST: Final = 2


class Report:
    """The findings of one document, collected during the checks.

    Args:
        file: Name of the document.
        catalogue: Codes that a finding can have.
    """

    def __init__(self, file: str, *, catalogue: Mapping[str, Code] = CATALOGUE) -> None:
        self._file = file
        self._catalogue = catalogue
        self._findings: dict[tuple[str, int, int, str], Finding] = {}
        self._hidden = Hiding({})
        # Suggestions for unknown names.
        self.suggestions = Suggestions()
        # Values of the environment and their written form.
        self.secrets: dict[str, str] = {}
        # Parts that could not be checked without an import, in order.
        self._unchecked: list[Unchecked] = []
        self._empty: dict[Path, str] = {}  # variables that were empty, by what they were written for

    def keep_secret(self, value: str, written: str) -> None:
        """Replace this value of the environment by its written form in all later findings."""
        if self.secrets.get(value) != written:
            self.secrets[value] = written
            self._hidden.add(value, written)

    def note_empty(self, path: Path, name: str) -> None:
        """Say in findings about this value that a variable in it was empty."""
        self._empty[path] = name

    def add(self, code: str, mark: Mark, message: str, *, path: Path = (), remedy: str = "") -> None:
        """Add a finding; the same one at the same place is kept once, under its shortest path."""
        entry = self._catalogue[code]
        if path in self._empty:
            message = f"{message or entry.title}; the environment's variable {self._empty[path]} is empty"
        finding = Finding(
            code=code,
            severity=entry.severity,
            file=self._file,
            line=mark.line,
            column=mark.column,
            path=dotted(path),
            message=self._hidden(message or entry.title),
            remedy=self._hidden(remedy or entry.remedy),
        )
        key = (code, mark.line, mark.column, finding.message)
        known = self._findings.get(key)
        if known is None or len(finding.path) < len(known.path):
            self._findings[key] = finding

    def leave_out(self, mark: Mark, what: str, *, path: Path) -> None:
        """Note that something was not checked, because an import would have been needed."""
        place = Unchecked(line=mark.line, column=mark.column, path=dotted(path), what=self._hidden(what))
        self._unchecked.append(place)

    @property
    def unchecked(self) -> tuple[Unchecked, ...]:
        """Parts that were not checked, in file order."""
        return tuple(sorted(self._unchecked, key=lambda one: (one.line, one.column)))

    @property
    def has_errors(self) -> bool:
        """True if the configuration cannot be run."""
        return any(finding.severity is Severity.ERROR for finding in self._findings.values())

    def findings(self) -> tuple[Finding, ...]:
        """Return all findings in file order, without those that another one at their place causes."""
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
