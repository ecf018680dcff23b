"""A test file with its pipeline: loaded, and checked against each other.

Names are those of the pipeline, conditions compile, faults can be read, and no stage of a test reaches outside unless the
test says so. Kept separate from reading, which knows the file alone.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from factflow_engine.adapters import ValidatingAdapterRegistry
from factflow_engine.conditions import compile_condition
from factflow_engine.config import Finding, PipelineConfigLoader, PipelineGlobalConfig
from factflow_engine.config.codes_of_tests import ALL_CODES
from factflow_engine.config.condition_errors import report_condition
from factflow_engine.config.nodes import MappingNode, Node, key_mark, locate, plain_value
from factflow_engine.config.nodes import Path as TreePath
from factflow_engine.config.report import Report
from factflow_engine.errors import ConditionErrors
from factflow_engine.testing.config_tests.models import StubModel, TestModel
from factflow_engine.testing.config_tests.payloads import PayloadError, from_written
from factflow_engine.testing.config_tests.reading import ConfigTestFileError, ReadFile
from factflow_engine.testing.simulation.faults import Fault, FaultPlanError, read_plan
from factflow_engine.testing.simulation.loading import StandingInRegistry
from factflow_engine.testing.simulation.settings import QUEUES

READING: Final = frozenset({"read_jsonl", "read_lines", "walk_directory"})
"""Built-in adapters that read files, and so are called only in a test that allows it."""

WAITING: Final = frozenset({"http_request", "read_stdin", "write_jsonl", "write_sqlite", "write_stdout"})
"""Built-in adapters that wait for threads and sockets of their own, for which virtual time does not wait: never called.

Adapters that others wrote are called, and what `call` names: only their authors know what they do.
"""

_SUFFIXES: Final = (".yaml", ".yml")
_MARKED: Final = frozenset({"$bytes", "$timestamp", "$ext", "$map"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Tests of one file, with their pipeline.

    Attributes:
        file: The test file.
        pipeline: Path of the pipeline.
        config: The pipeline, with variables of the file's own environment.
        registry: Adapters, with stand-ins for those that are not installed.
        faults: Faults of each test, by its name.
        findings: Warnings of both files.
    """

    file: ReadFile
    pipeline: Path
    config: PipelineGlobalConfig
    registry: ValidatingAdapterRegistry
    faults: Mapping[str, tuple[Fault, ...]]
    findings: tuple[Finding, ...]

    @property
    def tests(self) -> tuple[TestModel, ...]:
        """The tests, in order."""
        return tuple(self.file.model.tests)

    def stubs(self, test: TestModel) -> dict[str, StubModel]:
        """Return the behaviour of stages in a test: its own, and the file's for others."""
        return {**self.file.model.stages, **test.stages}

    @property
    def is_changed(self) -> bool:
        """True if the file was recorded, and of another snapshot of the pipeline."""
        recorded = self.file.model.recorded
        return recorded is not None and recorded != self.config.hash


def pipeline_of(path: Path) -> Path:
    """Return the pipeline that a test file's name stands for: `a.yaml` of `a.test.yaml` and `a_test.yaml`."""
    for suffix in _SUFFIXES:
        for mark in (".test", "_test"):
            ending = mark + suffix
            if path.name.endswith(ending) and path.name != ending:
                return path.with_name(path.name.removesuffix(ending) + suffix)
    return path


def stages_of(config: PipelineGlobalConfig) -> dict[str, str]:
    """Return the types of all stages by `route/stage`."""
    return {
        f"{route_id}/{stage.name}": stage.type for route_id, route in config.routes.items() for stage in route.adapters
    }


def leaving(config: PipelineGlobalConfig) -> tuple[list[str], list[str]]:
    """Return the queues through which messages leave the pipeline, and those of them that are for dead letters alone."""
    read = {route.inbound.queue for route in config.routes.values()}
    outbound = [out.queue for route in config.routes.values() for out in route.outbound if out.queue is not None]
    dead = [route.error_handling.dead_letter_queue for route in config.routes.values()]
    out = [queue for queue in dict.fromkeys(outbound) if queue not in read]
    dead_only = [queue for queue in dict.fromkeys(dead) if queue is not None and queue not in read and queue not in out]
    return [*out, *dead_only], dead_only


def open_suite(read: ReadFile, registry: ValidatingAdapterRegistry) -> Suite:
    """Return the tests of a file with their pipeline.

    Raises:
        ConfigTestFileError: The tests and the pipeline do not fit together, or the pipeline has errors.
    """
    report = Report(str(read.path), catalogue=ALL_CODES)
    named = read.model.pipeline
    pipeline = pipeline_of(read.path) if named is None else read.path.parent / named
    if pipeline == read.path:
        report.add(
            "T110", read.root.mark, "the file's name does not say which pipeline is tested",
            remedy="add pipeline: and its path, or call the file PIPELINE.test.yaml",
        )  # fmt: skip
        raise ConfigTestFileError(report.findings(), read.text)
    standing = StandingInRegistry(registry)
    loaded = PipelineConfigLoader(standing, environ=read.model.environment).check(pipeline)
    unread = next((each for each in loaded.findings if each.code == "E016"), None)
    if unread is not None:
        path: TreePath = () if named is None else ("pipeline",)
        mark, _, _ = locate(read.root, path)
        report.add("T110", mark, f"the pipeline {pipeline} cannot be read: {unread.message}", path=path)
        raise ConfigTestFileError(report.findings(), read.text)
    if loaded.config is None or not loaded.is_valid:
        findings = tuple(map(_for_tests, loaded.findings))
        raise ConfigTestFileError(findings, loaded.text)
    checks = _Checks(read, loaded.config, registry, standing.stand_ins, report)
    faults = checks.run()
    if report.has_errors:
        raise ConfigTestFileError(report.findings(), read.text)
    return Suite(
        file=read,
        pipeline=pipeline,
        config=loaded.config,
        registry=standing,
        faults=faults,
        findings=(*read.findings, *report.findings()),
    )


def _for_tests(finding: Finding) -> Finding:
    if finding.code != "E007":
        return finding
    remedy = "add it under environment: of the test file; tests see no variable of the process"
    return replace(finding, remedy=remedy)


class _Checks:
    """Checks of a test file against its pipeline; problems go into the report."""

    def __init__(
        self,
        read: ReadFile,
        config: PipelineGlobalConfig,
        registry: ValidatingAdapterRegistry,
        stand_ins: Collection[str],
        report: Report,
    ) -> None:
        self._read = read
        self._root = read.root
        self._config = config
        self._registry = registry
        self._stand_ins = stand_ins
        self._report = report
        self._stages = stages_of(config)
        self._queues = leaving(config)[0]

    def run(self) -> dict[str, tuple[Fault, ...]]:
        """Check everything; return the faults by test."""
        model = self._read.model
        self._stage_names(("stages",), model.stages)
        self._listed(("allow",), model.allow, self._stages, "stage")
        self._values(self._root, ())
        faults: dict[str, tuple[Fault, ...]] = {}
        for place, test in enumerate(model.tests):
            path: TreePath = ("tests", place)
            if test.name in faults:
                self._add("T109", (*path, "name"), f"there is a test named {test.name!r} already")
            self._stage_names((*path, "stages"), test.stages)
            self._listed((*path, "allow"), test.allow, self._stages, "stage")
            for number, each in enumerate(test.inputs):
                self._name((*path, "inputs", number, "route"), each.route, self._config.routes, "route")
            self._expected(test, (*path, "expect"))
            self._queue(test, path)
            faults[test.name] = tuple(self._faults(test, (*path, "faults")))
            self._outside(test, path)
        return faults

    def _add(self, code: str, path: TreePath, message: str, remedy: str = "", *, at_key: bool = False) -> None:
        mark = key_mark(self._root, path) if at_key else locate(self._root, path)[0]
        self._report.add(code, mark, message, path=path, remedy=remedy)

    def _name(self, path: TreePath, name: str, known: Collection[str], kind: str, *, at_key: bool = False) -> None:
        if name not in known:
            remedy = self._report.suggestions.remedy(name, list(known))
            self._add("T106", path, f"the pipeline has no {kind} {name!r}", remedy, at_key=at_key)

    def _listed(self, path: TreePath, names: Collection[str], known: Collection[str], kind: str) -> None:
        for place, name in enumerate(names):
            self._name((*path, place), name, known, kind)

    def _stage_names(self, path: TreePath, stubs: Mapping[str, StubModel]) -> None:
        for name, stub in stubs.items():
            self._name((*path, name), name, self._stages, "stage", at_key=True)
            for place, case in enumerate(stub.cases):
                if "when" in case.model_fields_set:
                    self._condition((*path, name, "cases", place, "when"))

    def _condition(self, path: TreePath) -> None:
        node = locate(self._root, path)[1]
        try:
            compile_condition(plain_value(node))
        except ConditionErrors as errors:
            for problem in errors.findings:
                report_condition(problem, node, path, self._report)

    def _expected(self, test: TestModel, path: TreePath) -> None:
        expect, config = test.expect, self._config
        places = [*config.routes, *self._stages]
        for queue in expect.outputs:
            reader = next((name for name, route in config.routes.items() if route.inbound.queue == queue), None)
            if reader is not None:
                self._add(
                    "T106", (*path, "outputs", queue), f"route {reader!r} reads the queue {queue!r}: nothing leaves there",
                    f"say what route {reader!r} does, under outcomes: or calls:", at_key=True,
                )  # fmt: skip
            else:
                self._name((*path, "outputs", queue), queue, self._queues, "queue", at_key=True)
        for name in expect.outcomes:
            self._name((*path, "outcomes", name), name, config.routes, "route", at_key=True)
        for name in expect.calls:
            self._name((*path, "calls", name), name, self._stages, "stage", at_key=True)
        self._listed((*path, "reached"), expect.reached, places, "route or stage")
        self._listed((*path, "not_reached"), expect.not_reached, places, "route or stage")
        for field in ("failures", "dead_letters"):
            for place, failure in enumerate(getattr(expect, field)):
                where = (*path, field, place)
                self._name((*where, "route"), failure.route, config.routes, "route")
                if failure.error is not None:
                    self._pattern((*where, "error"), failure.error)
        for field in ("outputs", "calls"):
            for name, messages in getattr(expect, field).items():
                for place, message in enumerate(messages.messages or ()):
                    if "matches" in message.model_fields_set:
                        self._condition((*path, field, name, "messages", place, "matches"))

    def _pattern(self, path: TreePath, pattern: str) -> None:
        try:
            compile_condition(error_condition(pattern))
        except ConditionErrors as errors:
            problem = errors.findings[0]
            self._report.add(
                problem.code, locate(self._root, path)[0], problem.problem, path=path, remedy=problem.remedy
            )

    def _queue(self, test: TestModel, path: TreePath) -> None:
        if test.queue not in QUEUES:
            self._add(
                "T104", (*path, "queue"), f"expected {' or '.join(QUEUES)}, got {test.queue!r}", "write one of them"
            )
        elif test.processes > 1 and test.queue == "memory://":
            message = f"messages in memory belong to one process, got {test.processes}"
            self._add("T104", (*path, "processes"), message, "write queue: broker://, or one process")

    def _faults(self, test: TestModel, path: TreePath) -> Iterator[Fault]:
        for place, given in enumerate(test.faults):
            try:
                fault = read_plan(json.dumps([given]))[0]
            except FaultPlanError as error:
                self._add("T107", (*path, place), str(error).removeprefix("fault 1: ").removeprefix("fault 1, "))
                continue
            stage = getattr(fault, "stage", None)
            if isinstance(stage, str):
                self._name((*path, place, "stage"), stage, self._stages, "stage")
            yield fault

    def _outside(self, test: TestModel, path: TreePath) -> None:
        stubs = {**self._read.model.stages, **test.stages}
        allowed = {*self._read.model.allow, *test.allow}
        for name, kind in self._stages.items():
            stub = stubs.get(name)
            if stub is not None and stub.is_stubbed:
                continue
            if kind in self._stand_ins and kind not in self._registry:
                message = f"adapter type {kind!r} of stage {name!r} is not installed"
                self._add("T111", (*path, "name"), message, f"add {name}: {{forwards: true}} under stages:, for example, or "
                          "give its module with --adapters")  # fmt: skip
            elif kind in WAITING or (kind in READING and name not in allowed):
                message = f"stage {name!r} reaches outside the test: its adapter is {kind}"
                allow = f", or allow: [{name}]" if kind in READING else ""
                if name in allowed:
                    message += ", which waits for threads or sockets, and virtual time does not"
                self._add(
                    "T108",
                    (*path, "name"),
                    message,
                    f"add {name}: {{forwards: true}} under stages:, for example{allow}",
                )

    def _values(self, node: Node, path: TreePath) -> None:
        """Report values with a mark that cannot be read, wherever they stand."""
        if isinstance(node, MappingNode):
            if len(node.entries) == 1 and not _MARKED.isdisjoint(node.entries):
                try:
                    from_written(plain_value(node))
                except PayloadError as error:
                    self._add("T112", path, str(error).partition(";")[0])
                return
            for key, (_, value) in node.entries.items():
                self._values(value, (*path, key))
        else:
            for place, item in enumerate(getattr(node, "items", ())):
                self._values(item, (*path, place))


def error_condition(pattern: str) -> dict[str, Any]:
    """Return the condition on `{error: text}` that a pattern stands for."""
    return {"field": "error", "operator": "matches", "value": pattern}
