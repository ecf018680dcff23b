"""A program's own scenario from YAML: read, checked with places, and made into what is simulated."""

import math
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
from factflow_engine.limit_suite.scenario_model import LoadConfig, PhaseConfig, ScenarioConfig, ServerModelConfig
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
    limits = None
    if any(phase.limit is not None or phase.outage for phase in config.phases):
        best = LimitScenario.described({**_always(config), "server": server, "limits": None}).limits
        limits = [(start, _limit(phase, scale, _at(best, start))) for start, phase in timed]
    return {
        **_always(config),
        "duration_ns": round(now * _NS),
        "joins": [round(at * _NS) for at in config.joins_seconds],
        "leaves": [round(at * _NS) for at in config.leaves_seconds],
        "load": None if config.load is None else _load(config.load, round(now * _NS), scale),
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
        "leaves": [],
        "load": None,
    }


def _limit(phase: PhaseConfig, scale: float, best: int) -> int:
    if phase.limit is not None:
        return _scaled(phase.limit, scale)
    return 1 if phase.outage else best


def _load(load: LoadConfig, end_ns: int, scale: float) -> Mapping[str, Any]:
    rate = load.calls_per_second * scale
    until_ns = end_ns if load.until_seconds is None else round(load.until_seconds * _NS)
    if load.retries:
        return {"kind": "retrying", "rate": rate, "most": load.retries}
    if load.from_seconds:
        return {"kind": "pausing", "rate": rate, "from_ns": round(load.from_seconds * _NS), "until_ns": until_ns}
    return {"kind": "poisson", "rate": rate, "until_ns": until_ns}


def _server(config: ScenarioConfig, timed: tuple[tuple[int, PhaseConfig], ...], scale: float) -> Mapping[str, Any]:
    server = config.server
    capacity, service_ns = _scaled(server.capacity, scale), _ns(server.service_ms)
    match server.model:
        case "workers":
            workers = [(at, _scaled(phase.capacity or server.capacity, scale)) for at, phase in timed]
            return {
                "model": "workers",
                "workers": _changes(workers),
                "service": _service(server, timed),
                "failing": server.failing,
                "outage": _outage(timed),
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
        case "sharing":
            return {"model": "sharing", "streams": capacity, "alone_ns": service_ns, "spread": server.spread}
        case "breaking":
            every, seconds = server.break_seconds, config.seconds
            breaks = [round(turn * every * _NS) for turn in range(1, math.ceil(seconds / every))]
            return {
                "model": "breaking",
                "workers": capacity,
                "service_ns": service_ns,
                "breaks": breaks,
                "share": server.broken,
            }


def _service(server: ServerModelConfig, timed: tuple[tuple[int, PhaseConfig], ...]) -> Mapping[str, Any]:
    service_ns = _ns(server.service_ms)
    if server.spread:
        return {"kind": "lognormal", "mean_ns": float(service_ns), "sigma": server.spread}
    if server.sizes:
        sizes = [(size.share, _ns(size.service_ms)) for size in server.sizes]
        usual = max(0.0, 1 - sum(share for share, _ in sizes))
        return {"kind": "sizes", "sizes": [*sizes, (usual, service_ns)]}
    if server.warm_up is not None:
        warm_up = server.warm_up
        cold_ns, constant_ns = _ns(warm_up.extra_ms), round(warm_up.seconds * _NS)
        return {"kind": "warming", "warm_ns": service_ns, "cold_ns": cold_ns, "constant_ns": max(1, constant_ns)}
    return {
        "kind": "steps",
        "steps": _changes([(at, _ns(phase.service_ms or server.service_ms)) for at, phase in timed]),
    }


def _outage(timed: tuple[tuple[int, PhaseConfig], ...]) -> tuple[int, int]:
    """Return the time in which everything is lost; empty for none."""
    lost = [(start, start + round(phase.seconds * _NS)) for start, phase in timed if phase.outage]
    return (lost[0][0], lost[-1][1]) if lost else (0, 0)


def _ns(milliseconds: float) -> int:
    return max(1, round(milliseconds * _MS))


def _scaled(capacity: int, scale: float) -> int:
    return max(1, round(capacity * scale))


def _changes(steps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return steps without those that change nothing."""
    return [step for place, step in enumerate(steps) if place == 0 or step[1] != steps[place - 1][1]]


def _at(limits: list[tuple[int, int]], at: int) -> int:
    return [limit for start, limit in limits if start <= at][-1]
