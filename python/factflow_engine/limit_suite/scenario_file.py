"""A program's own scenario from YAML: read, checked with places, and made into what is simulated."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from factflow_engine.config import ConfigurationError, Finding
from factflow_engine.config.model_errors import STRUCTURE, report_model_errors
from factflow_engine.config.nodes import START, MappingNode, plain_value
from factflow_engine.config.report import Report
from factflow_engine.config.text import DEFAULT_MAX_BYTES, TextProblem, decode, read_file
from factflow_engine.config.yaml import parse
from factflow_engine.limit_suite.scenario_model import PhaseConfig, ScenarioConfig
from factflow_engine.limit_suite.suite import Task
from factflow_engine.native import LimitScenario

_NS: Final = 1_000_000_000
_MS: Final = 1_000_000


class ScenarioError(ConfigurationError):
    """Invalid scenario; its text holds every finding.

    Attributes:
        source: Text of the file; empty if it could not be read.
    """

    def __init__(self, findings: tuple[Finding, ...], source: str) -> None:
        self.source = source
        super().__init__(findings)


def scenario_tasks(path: Path, scales: tuple[float, ...] = (1.0,)) -> tuple[Task, ...]:
    """Return the scenario of a file at each scale of its capacities.

    Raises:
        ScenarioError: The file cannot be read, or has errors.
    """
    report, text = Report(str(path)), ""
    try:
        text = decode(read_file(path, DEFAULT_MAX_BYTES), DEFAULT_MAX_BYTES)
    except TextProblem as problem:
        report.add(problem.code, problem.mark, problem.message, remedy=problem.remedy)
    config = _checked(text, report) if text or not report.has_errors else None
    if config is None or report.has_errors:
        raise ScenarioError(tuple(map(_of_scenario, report.findings())), text)
    return tuple(
        Task(label=config.name, scale=scale, scenario=LimitScenario.described(described(config, scale)))
        for scale in scales
    )


def _of_scenario(finding: Finding) -> Finding:
    """Return a finding with the remedy for a scenario, where that for a pipeline is another."""
    is_empty = finding.code == "E017"
    return replace(finding, remedy="write name:, target_ms:, server: and phases:") if is_empty else finding


def _checked(text: str, report: Report) -> ScenarioConfig | None:
    tree = parse(text, report)
    if tree is None:
        return None
    if not isinstance(tree, MappingNode):
        report.add("E104", START, "expected a mapping of fields, such as name:, server: and phases:")
        return None
    try:
        return ScenarioConfig.model_validate(plain_value(tree))
    except ValidationError as error:
        report_model_errors(error, root=tree, at=START, prefix=(), model=ScenarioConfig, codes=STRUCTURE, report=report)
    return None


def described(config: ScenarioConfig, scale: float) -> dict[str, Any]:
    """Return the description that the native scenario is made of, its capacities multiplied by `scale`."""
    starts, now = [], 0.0
    for phase in config.phases:
        starts.append(round(now * _NS))
        now += phase.seconds
    timed = tuple(zip(starts, config.phases, strict=True))
    server = _server(config, timed, scale)
    load = config.load
    until = round(now * _NS) if load is None or load.until_seconds is None else round(load.until_seconds * _NS)
    own = any(phase.limit is not None for phase in config.phases)
    limits = None
    if own:
        best = LimitScenario.described({**_always(config), "server": server, "limits": None}).limits
        limits = [
            (start, _at(best, start) if phase.limit is None else _scaled(phase.limit, scale)) for start, phase in timed
        ]
    return {
        **_always(config),
        "duration_ns": round(now * _NS),
        "joins": [round(at * _NS) for at in config.joins_seconds],
        "poisson": None if load is None else (load.calls_per_second * scale, until),
        "limits": limits,
        "server": server,
    }


def _always(config: ScenarioConfig) -> dict[str, Any]:
    return {
        "name": config.name,
        "seed": config.seed,
        "duration_ns": round(config.seconds * _NS),
        "target_ns": round(config.target_ms * _MS),
        "timeout_ns": None if config.timeout_ms is None else round(config.timeout_ms * _MS),
        "joins": [0],
        "poisson": None,
    }


def _server(config: ScenarioConfig, timed: tuple[tuple[int, PhaseConfig], ...], scale: float) -> Mapping[str, Any]:
    server = config.server
    capacity, service_ns = _scaled(server.capacity, scale), _ns(server.service_ms)
    match server.model:
        case "workers":
            workers = [(at, _scaled(phase.capacity or server.capacity, scale)) for at, phase in timed]
            steps = [(at, _ns(phase.service_ms or server.service_ms)) for at, phase in timed]
            service: dict[str, Any] = {"kind": "steps", "steps": _changes(steps)}
            if server.spread:
                service = {"kind": "lognormal", "mean_ns": float(service_ns), "sigma": server.spread}
            return {
                "model": "workers",
                "workers": _changes(workers),
                "service": service,
                "failing": server.failing,
                "outage": (0, 0),
            }
        case "knee":
            return {"model": "knee", "base_ns": service_ns, "knee": capacity}
        case "usl":
            alpha, beta = server.contention / scale, server.coherence / scale**2
            return {"model": "usl", "base_ns": service_ns, "alpha": alpha, "beta": beta}
        case "refusing":
            return {"model": "refusing", "latency_ns": service_ns, "room": capacity}
        case "batch":
            return {"model": "batch", "tick_ns": _ns(server.tick_ms), "most": capacity, "service_ns": service_ns}


def _ns(milliseconds: float) -> int:
    return max(1, round(milliseconds * _MS))


def _scaled(capacity: int, scale: float) -> int:
    return max(1, round(capacity * scale))


def _changes(steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return steps without those that change nothing."""
    return [step for place, step in enumerate(steps) if place == 0 or step[1] != steps[place - 1][1]]


def _at(limits: list[tuple[int, int]], at: int) -> int:
    return [limit for start, limit in limits if start <= at][-1]
