"""Statistics and reports to print, pipelines to run, and a way to call the command line in this process."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from factflow_engine.cli.root import root
from factflow_engine.resilience import LimitChange, LimitStatistics
from factflow_engine.runtime.report import (
    ExecutionReport,
    ExecutionStatistics,
    ExecutionStatus,
    FailureRecord,
    RouteStatistics,
)


@dataclass(frozen=True)
class Said:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def factflow(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """Call the command line here: `factflow("run", path)`."""
    for variable in ("FORCE_COLOR", "COLUMNS"):  # a test runner may set them; they change what is printed
        monkeypatch.delenv(variable, raising=False)

    def call(*arguments: object, env: dict[str, str] | None = None, answer: str | None = None) -> Said:
        result = CliRunner().invoke(root, [str(argument) for argument in arguments], env=env, input=answer)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture
def pipeline(tmp_path: Path) -> Callable[..., Path]:
    """Write a configuration and give its path."""

    def write(text: str, name: str = "pipeline.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


class Samples:
    """Values to print."""

    HOSTILE = "[bold]\x1b[31mred\x1b[0m\u202egnp.exe\r\n\x07[/bold]"
    """Markup, an escape sequence, a right-to-left override, line ends and a bell."""

    @staticmethod
    def route(**changes: Any) -> RouteStatistics:
        counts = dict.fromkeys(
            ("waiting", "in_flight", "retrying", "received", "emitted", "skipped", "completed", "filtered", "dead_lettered", "failed",
             "redelivered"),
            0,
        )  # fmt: skip
        values: dict[str, Any] = {"name": "a route", "limit": 8, "pauses": (), **counts, **changes}
        return RouteStatistics(**values)

    @staticmethod
    def statistics(status: ExecutionStatus = ExecutionStatus.RUNNING, **routes: RouteStatistics) -> ExecutionStatistics:
        return ExecutionStatistics(execution_id="e" * 32, status=status, elapsed_seconds=1.25, routes=routes)

    @staticmethod
    def limit(**changes: Any) -> LimitStatistics:
        counts = dict.fromkeys(
            ("in_flight", "waiting", "acquired", "refused", "answered", "dropped", "released", "stale", "faults"), 0
        )
        change = LimitChange(at_ns=5, before=10, after=12, reason="grow", statistics={"queue": 0.5})
        values: dict[str, Any] = {
            "algorithm": "adaptive", "limit": 12, "is_monitor_only": False, "is_frozen": False, "least_limit": 4,
            "median_limit": 11, "greatest_limit": 24, "changes": {"grow": 7, "queue": 3}, "last_change": change, **counts,
            **changes,
        }  # fmt: skip
        return LimitStatistics(**values)

    @staticmethod
    def failure(**changes: Any) -> FailureRecord:
        values: dict[str, Any] = {
            "route": "parse", "stage": "markdown", "error_type": "ValueError", "error": "boom", "message_id": "0" * 32,
            "correlation_id": "1" * 32, "attempts": 1, "payload_preview": "{'n': 1}", **changes,
        }  # fmt: skip
        return FailureRecord(**values)

    @staticmethod
    def report(**changes: Any) -> ExecutionReport:
        values: dict[str, Any] = {
            "execution_id": "e" * 32, "name": "a pipeline", "config_hash": "c" * 64,
            "status": ExecutionStatus.COMPLETED, "error": None, "routes": {"parse": Samples.route()}, "failures": (),
            "failures_omitted": 0, "held": (), "close_errors": (), "duration_seconds": 1.5, **changes,
        }  # fmt: skip
        return ExecutionReport(**values)


@pytest.fixture
def samples() -> type[Samples]:
    """Statistics, failures and reports with anything changed."""
    return Samples


@pytest.fixture
def shout_module(tmp_path: Path) -> Path:
    """A Python file with an adapter, as `--adapters` takes it."""
    path = tmp_path / "shouting.py"
    path.write_text(
        "from factflow_protocols import AdapterResult, PipelineAdapter\n"
        "\n"
        "class Shout(PipelineAdapter):\n"
        '    """Says it louder."""\n'
        '    adapter_type = "shout"\n'
        "    async def process(self, context):\n"
        "        print('shouting')\n"
        "        return AdapterResult(message=context.message.upper())\n"
    )
    return path
