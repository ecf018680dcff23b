"""Loader of configurations: the only way from text to configuration, for running and for validating.

Kept separate from `building`, which is imported at the first load, so that a program with an unused loader waits
neither for the YAML parser nor for the models.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import OperatorRegistry
from factflow_engine.config.findings import ConfigurationError, Finding, Unchecked, render_findings
from factflow_engine.config.nodes import START
from factflow_engine.config.report import Report
from factflow_engine.config.strictness import validation_is_strict
from factflow_engine.config.text import (
    DEFAULT_MAX_BYTES,
    Source,
    TextProblem,
    check_text,
    decode,
    is_text,
    read_file,
)
from factflow_engine.finding_code import Severity
from factflow_engine.queues.naming import memory_queue_name_problem

if TYPE_CHECKING:
    from factflow_engine.config.models import PipelineGlobalConfig
    from factflow_engine.config.wiring import QueueNameCheck

_LOG: Final = logging.getLogger("factflow_engine.config")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """Result of loading a text.

    Attributes:
        config: The configuration; None if none could be built. It may exist although findings have errors, and must not
        be run then.
        findings: All findings, in file order.
        text: The text as written; empty if it could not be read.
        unchecked: What was not checked because nothing was to be imported, in file order.
    """

    config: PipelineGlobalConfig | None
    findings: tuple[Finding, ...]
    text: str
    unchecked: tuple[Unchecked, ...] = ()

    @property
    def is_valid(self) -> bool:
        """True if the configuration can be run, as far as it was checked (`unchecked`)."""
        return self.config is not None and not any(found.severity is Severity.ERROR for found in self.findings)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that forbid running the configuration."""
        return tuple(found for found in self.findings if found.severity is Severity.ERROR)

    def render(self) -> str:
        """Return the findings as plain text, each with its line underlined. Shows no value of the environment."""
        return render_findings(self.findings, self.text)


class PipelineConfigLoader:
    """Loader of configurations for one registry. It keeps nothing of a load; use it as often as you like.

    Args:
        registry: The adapter types that a configuration may use.
        operators: Operators of conditions besides the built-in ones.
        validate_queue_name: The queue provider's naming rule; by default the memory queue's.
        environ: Variables for `${NAME}`; by default the process's environment at each load.
        strict: Overrides `configure_validation` for this loader.
        durable: True if the configurations will run on a queue that outlives the process: stages that would lose what
        they keep across messages are errors then.
        max_bytes: Bound on a text, in bytes of UTF-8; checked before a whole file is read.

    Example:
        loader = PipelineConfigLoader(registry)
        config = loader.load_text("{version: '1.0', routes: {copy: {adapters: [{type: shout}]}}}", name="copy.yaml")
        result = loader.check_text("{version: '1.0', routes: {copy: {adapters: [{type: shuot}]}}}")
        assert result.findings[0].code == "E103", result.render()
    """

    def __init__(
        self,
        registry: ValidatingAdapterRegistry,
        *,
        operators: OperatorRegistry | None = None,
        validate_queue_name: QueueNameCheck = memory_queue_name_problem,
        environ: Mapping[str, str] | None = None,
        strict: bool | None = None,
        durable: bool = False,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        self._registry = registry
        self._operators = operators
        self._validate_queue_name = validate_queue_name
        self._environ = environ
        self._strict = strict
        self._durable = durable
        self._max_bytes = max_bytes

    def load(self, path: Path | str) -> PipelineGlobalConfig:
        """Load the configuration in a file.

        Raises:
            ConfigurationError: It has errors, or cannot be read, or a text was given as the path; the error holds all
            findings. Not strict: only if nothing could be built.
        """
        return self._accept(self.check(path))

    def load_text(self, text: str | bytes, name: str = "<text>") -> PipelineGlobalConfig:
        """Load the configuration in a text; findings use `name` as the file.

        Raises:
            ConfigurationError: As for `load`.
        """
        return self._accept(self.check_text(text, name))

    def load_mapping(self, mapping: Mapping[str, Any], name: str = "<mapping>") -> PipelineGlobalConfig:
        """Load a configuration from plain data in written form (`to_mapping`); findings have the lines of its YAML.

        Raises:
            ConfigurationError: As for `load`.
        """
        return self._accept(self.check_mapping(mapping, name))

    def check(self, path: Path | str, *, imports: bool = True) -> LoadResult:
        """Check a file as `load` does, and return the configuration, if one could be built, and every finding.

        Raises nothing: an unreadable file is a finding, too.

        Args:
            path: Path of the file.
            imports: False to import no module that the configuration names, such as that of a function for `call`.
            What cannot be checked so, unknown adapter types included, is in `LoadResult.unchecked`.
        """
        if _is_no_path(path):
            problem = TextProblem(
                "E016",
                START,
                "expected the path of a file, got a configuration's text",
                "write load_text(text), or check_text(text); give a path that looks like a text as a pathlib.Path",
            )
            return _unreadable(problem, Report("<text>"))
        report = Report(str(path))
        try:
            text = decode(read_file(Path(path), self._max_bytes), self._max_bytes)
            directory = Path(path).resolve().parent
        except TextProblem as problem:
            return _unreadable(problem, report)
        return self._check(Source(name=str(path), directory=directory, text=text), report, imports=imports)

    def check_text(
        self, text: str | bytes, name: str = "<text>", *, directory: Path | None = None, imports: bool = True
    ) -> LoadResult:
        """Check a text as `load_text` does.

        Args:
            text: The text.
            name: Name of the file in findings.
            directory: Folder that relative paths in the configuration start from; the working directory by default.
            imports: See `check`.
        """
        report = Report(name)
        try:
            text = decode(text, self._max_bytes) if isinstance(text, bytes) else check_text(text, self._max_bytes)
        except TextProblem as problem:
            return _unreadable(problem, report)
        source = Source(name=name, directory=directory or Path.cwd(), text=text)
        return self._check(source, report, imports=imports)

    def check_mapping(self, mapping: Mapping[str, Any], name: str = "<mapping>") -> LoadResult:
        """Check plain data as `load_mapping` does."""
        from factflow_engine.config.canonical import to_yaml  # noqa: PLC0415 - late: most configurations are files

        try:
            text = to_yaml(mapping)
        except (TypeError, RecursionError) as error:
            report = Report(name)
            report.add("E104", START, f"this cannot be written as YAML: {error}")
            return LoadResult(config=None, findings=report.findings(), text="")
        return self.check_text(text, name)

    def _check(self, source: Source, report: Report, *, imports: bool = True) -> LoadResult:
        from factflow_engine.config import building  # noqa: PLC0415 - late: holding a loader builds nothing

        config = building.build(
            source,
            report,
            registry=self._registry,
            operators=self._operators,
            validate_queue_name=self._validate_queue_name,
            environ=os.environ if self._environ is None else self._environ,
            durable=self._durable,
            imports=imports,
        )
        return LoadResult(config=config, findings=report.findings(), text=source.text, unchecked=report.unchecked)

    def _accept(self, result: LoadResult) -> PipelineGlobalConfig:
        strict = validation_is_strict() if self._strict is None else self._strict
        if result.config is None or (result.errors and strict):
            raise ConfigurationError(result.findings)
        for finding in result.findings:
            level = logging.ERROR if finding.severity is Severity.ERROR else logging.WARNING
            _LOG.log(level, "%s", finding)
        return result.config


def _is_no_path(given: object) -> bool:
    return isinstance(given, bytes) or (isinstance(given, str) and is_text(given))


def _unreadable(problem: TextProblem, report: Report) -> LoadResult:
    report.add(problem.code, problem.mark, problem.message, remedy=problem.remedy)
    return LoadResult(config=None, findings=report.findings(), text="")
