"""Findings: problems of a configuration, each with its place and remedy, and the error that carries them.

Kept separate from the loader because command line, HTTP and editors need only this to show findings.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from factflow_engine.finding_code import Severity
from factflow_protocols import FactflowError

_TOKEN: Final = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|\$\{[^}]*\}|[^\s,\[\]{}#:]+(?::[^\s,\[\]{}]+)*""")
_LONGEST_LINE: Final = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem of a configuration. Values that came from the environment appear as `${NAME}`.

    Attributes:
        code: Stable code, a key of `factflow_engine.config.codes.CATALOGUE`.
        severity: `ERROR` if the configuration cannot be run, `WARNING` if it can.
        file: Path of the file as given, or the name given to the text.
        line: Line, from 1.
        column: Column, from 1, in characters.
        path: Keys and indices from the root, `routes.parse.adapters[0].type`; empty for the document.
        message: The expected value, and the one found.
        remedy: What to write instead.
    """

    code: str
    severity: Severity
    file: str
    line: int
    column: int
    path: str
    message: str
    remedy: str

    def __str__(self) -> str:
        where = f" ({self.path})" if self.path else ""
        return f"{self.file}:{self.line}:{self.column}: {self.code} {self.message}{where}\n    {self.remedy}"

    def render(self, source_line: str | None) -> str:
        """Return the finding, its line, and a mark under its place.

        Args:
            source_line: The line as written; None if it is unknown.
        """
        if source_line is None:
            return str(self)
        head, _, remedy = str(self).partition("\n")
        start = self.column - 1
        length = _token_length(source_line[start : start + _LONGEST_LINE])
        if len(source_line) > _LONGEST_LINE:
            first = max(0, start - _LONGEST_LINE // 2)
            source_line = source_line[first : first + _LONGEST_LINE]
            start -= first
        # Tabs stay tabs, so that the mark is under its place however wide they are shown.
        margin = "".join("\t" if char == "\t" else " " for char in source_line[:start])
        shown = "".join(
            char if char.isprintable() or char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in source_line
        )
        number = f"{self.line:>5} | "
        mark = "^" * max(1, min(length, _LONGEST_LINE, len(source_line) - start))
        return f"{head}\n{number}{shown}\n{' ' * (len(number) - 2)}| {margin}{mark}\n{remedy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchecked:
    """Part of a configuration that was not checked, because nothing was to be imported.

    Attributes:
        line: Line, from 1.
        column: Column, from 1, in characters.
        path: Keys and indices from the root, `routes.parse.adapters[0].type`.
        what: A few words, such as `adapter type 'mine'`.
    """

    line: int
    column: int
    path: str
    what: str


def _token_length(text: str) -> int:
    token = _TOKEN.match(text)
    return len(token.group()) if token else 1


def render_findings(findings: Iterable[Finding], text: str) -> str:
    """Return findings as plain text, each with its line underlined.

    Args:
        findings: Findings of one text.
        text: The text that was loaded (`LoadResult.text`).
    """
    lines = split_lines(text)
    return "\n\n".join(
        finding.render(lines[finding.line - 1] if finding.line <= len(lines) else None) for finding in findings
    )


def split_lines(text: str) -> list[str]:
    """Return the lines as findings count them: ended by a line feed, a carriage return, or both."""
    return re.split(r"\r\n|\n|\r", text)


class ConfigurationError(FactflowError, ValueError):
    """Invalid configuration: its author must act. The text lists every finding.

    Attributes:
        findings: All findings, warnings too, in file order.
    """

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        errors = sum(finding.severity is Severity.ERROR for finding in self.findings)
        count = f"{errors} error" + ("s" if errors != 1 else "")
        super().__init__(f"the configuration cannot be run ({count}):\n" + "\n".join(map(str, self.findings)))
