"""Findings of configurations: printed with the line underlined, or as JSON.

Kept in one place because `run`, `graph` and `config validate` must say the same of the same file.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from factflow_engine.app import App
from factflow_engine.cli.console import messages
from factflow_engine.cli.interrupts import held_interrupts
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean, plural
from factflow_engine.config import Finding, LoadResult, PipelineGlobalConfig, Severity
from factflow_engine.config.findings import split_lines
from factflow_engine.config.hiding import Hiding

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow"}


def checked(app: App, file: Path, *, imports: bool = True) -> LoadResult:
    """Return the loader's findings on a configuration."""
    with held_interrupts():
        return app.loader.check(file, imports=imports)


def load_or_report(app: App, file: Path, settings: Settings, *, imports: bool = True) -> PipelineGlobalConfig | None:
    """Load a configuration and print its findings, warnings included, and what was not checked without imports.

    Returns:
        The configuration; None if it has errors. They are then printed to standard error, and to standard output as
        JSON if that was asked for.

    Raises:
        OutputClosedError: The reader went away.
    """
    result = checked(app, file, imports=imports)
    if result.config is not None:
        settings.hidden = Hiding(result.config.secrets)
    console = messages()
    print_findings(result, console)
    if result.unchecked:
        console.print(Text(unchecked_line([result])), soft_wrap=True)
    if result.is_valid:
        return result.config
    console.print(Text(f"factflow: {clean(str(file))} cannot be run: {summary(result.findings)}"), soft_wrap=True)
    if settings.as_json:
        print_document({"status": "invalid", "findings": findings_document(result.findings)}, settings)
    return None


def print_findings(result: LoadResult, console: Console) -> None:
    """Write each finding with its line underlined."""
    lines = split_lines(result.text)
    for finding in result.findings:
        source_line = lines[finding.line - 1] if result.text and finding.line <= len(lines) else None
        head, *rest = _cleaned(finding).render(source_line).split("\n")
        place, code, message = head.partition(finding.code)
        console.print(
            Text.assemble((clean(place), "bold"), (code, _STYLES[finding.severity]), clean(message)), soft_wrap=True
        )
        for line in rest:
            # The tabs of the source line and of the margin under it agree, and must reach the terminal unchanged.
            shown = "\t".join(clean(part) for part in line.split("\t"))
            console.print(Text(shown, style=_STYLES[finding.severity] if _is_mark(line) else ""), soft_wrap=True)


def _cleaned(finding: Finding) -> Finding:
    return replace(
        finding,
        file=clean(finding.file),
        path=clean(finding.path),
        message=clean(finding.message),
        remedy=clean(finding.remedy),
    )


def _is_mark(line: str) -> bool:
    return line.lstrip().startswith("|") and line.endswith("^")


def unchecked_line(results: Iterable[LoadResult], modules: Iterable[str] = ()) -> str:
    """Return the line that says what was not checked, because nothing was imported."""
    named = dict.fromkeys(clean(one.what) for result in results for one in result.unchecked)
    parts = [*named, *(f"module {clean(module)}" for module in modules)]
    return f"nothing was imported; not checked: {', '.join(parts) or 'nothing'}"


def summary(findings: Iterable[Finding]) -> str:
    """Return a count such as `2 errors, 1 warning`."""
    counts = {Severity.ERROR: 0, Severity.WARNING: 0}
    for finding in findings:
        counts[finding.severity] += 1
    return ", ".join(plural(count, severity.value) for severity, count in counts.items() if count) or "no problems"


def findings_document(findings: Iterable[Finding]) -> list[dict[str, object]]:
    """Return the JSON form of findings."""
    return [
        {
            "code": finding.code,
            "severity": str(finding.severity),
            "file": finding.file,
            "line": finding.line,
            "column": finding.column,
            "path": finding.path,
            "message": finding.message,
            "remedy": finding.remedy,
        }
        for finding in findings
    ]
