"""Result of a simulated run: what came out, what happened, what was broken, and the line that reproduces it.

Kept separate from the run, which ends with it; shrinking, campaigns and pages read it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from factflow_engine.runtime.report import ExecutionReport, Outcome
from factflow_engine.testing.simulation import reproducers
from factflow_engine.testing.simulation.assertion_counts import AssertionCount, AssertionKind
from factflow_engine.testing.simulation.errors import SimulationFailedError
from factflow_engine.testing.simulation.faults import Fault
from factflow_engine.testing.simulation.inputs import Input
from factflow_engine.testing.simulation.oracle import Broken
from factflow_engine.testing.simulation.page import page
from factflow_engine.testing.simulation.staging import RecordedCall
from factflow_engine.testing.simulation.trace import Trace
from factflow_engine.version import __version__
from factflow_protocols import OutcomeEntry

if TYPE_CHECKING:
    from factflow_engine.config import PipelineGlobalConfig

CHECK: Final = "check: "
"""Beginning of the names of what a user's judge has found broken."""

_MOST_SHOWN: Final = 20


class Output(NamedTuple):
    """A message that left the pipeline through a queue that no route reads, a dead-letter queue included.

    Attributes:
        at: Virtual seconds at which it was taken.
        payload: Its value.
        key: Its key.
        headers: Its headers.
        message_id: 32 hexadecimal digits.
    """

    at: float
    payload: Any
    key: str | None
    headers: Mapping[str, Any]
    message_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationCounts:
    """Numbers of events that a run, or a campaign, really saw.

    Attributes:
        runs: Simulated runs.
        inputs: Messages published from outside.
        visits: Visits of messages to stages, skipped ones included.
        ends: Ends of messages in routes.
        retries: Visits that were not a message's first attempt.
        breaker_openings: Openings of circuit breakers.
        cancellations: Executions that were cancelled.
        crashes: Processes that died.
        duplicates: Messages that a queue stored twice, or that ended twice in a route.
        faults: Faults that happened, those above included.
        decisions: Decisions of the schedule.
    """

    runs: int = 1
    inputs: int = 0
    visits: int = 0
    ends: int = 0
    retries: int = 0
    breaker_openings: int = 0
    cancellations: int = 0
    crashes: int = 0
    duplicates: int = 0
    faults: int = 0
    decisions: int = 0

    def __add__(self, other: "SimulationCounts") -> "SimulationCounts":
        return SimulationCounts(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})


@dataclass(frozen=True, kw_only=True)
class SimulationReport:
    """Result of a simulated run.

    Attributes:
        config: The configuration that ran.
        seed: Its seed.
        queue: URL of its queue.
        processes: Number of its processes.
        inputs: What was published, in order.
        faults: The plan of faults, as given.
        fired: Faults that happened, none of them a rate: a run with these in place of the plan does the same.
        schedule: Numbers of the decisions that were shuffled; None for all.
        decisions: Number of decisions of the schedule.
        until: Time at which it was stopped, as given; None if it had to end by itself.
        seconds: Virtual seconds that it took.
        ended: True if every process has completed.
        executions: Reports of the executions that ended, in order; a process that died has none.
        outputs: Messages that left the pipeline, by queue.
        calls: Calls of the stages that were to be recorded.
        assertions: Counts of the assertions that its code called, by kind and name.
        broken: Guarantees and assertions that did not hold.
        counts: What it saw.
        is_smaller: True if the configuration is not the user's, but a smaller one that fails in the same way.
        given: Names of the arguments that have no text and were given: `registry`, `models`, `operators`.
        config_text: That configuration in one line, which is JSON and YAML, without defaults.
        trace: What happened, in order.
    """

    config: "PipelineGlobalConfig"
    seed: int
    queue: str
    processes: int
    inputs: Sequence[Input]
    faults: Sequence[Fault]
    fired: Sequence[Fault]
    schedule: Sequence[int] | None
    decisions: int
    until: float | None
    seconds: float
    ended: bool
    executions: Sequence[ExecutionReport]
    outputs: Mapping[str, Sequence[Output]]
    calls: Mapping[str, Sequence[RecordedCall]]
    assertions: Mapping[tuple[AssertionKind, str], AssertionCount]
    broken: Sequence[Broken]
    counts: SimulationCounts
    is_smaller: bool = False
    given: Sequence[str] = ()
    config_text: str | None = None
    trace: Trace = field(repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """True if nothing was broken."""
        return not self.broken

    @cached_property
    def outcomes(self) -> Mapping[Outcome, int]:
        """Number of messages by outcome, each counted once a route: by its last end there."""
        last = {(row[1], row[2]): row[5] for row in self.trace.outcomes()}
        found = dict.fromkeys(Outcome, 0)
        for outcome in last.values():
            found[Outcome(outcome)] += 1
        return found

    def ends(self, route: str) -> list[OutcomeEntry]:
        """Return the ends of messages in a route, in order; a message that was delivered again may have several."""
        return [OutcomeEntry._make(row) for row in self.trace.outcomes() if row[1] == route]

    def payloads(self, queue: str) -> list[Any]:
        """Return the values that left through a queue, in order; none if nothing did."""
        return [output.payload for output in self.outputs.get(queue, ())]

    @property
    def reproducer(self) -> str:
        """One line of Python that does it again, for a `config` of the same hash and the same version of the engine.

        What has no text is named as the argument that gave it: `config`, `registry`, `models`, `operators`, `check`.
        """
        arguments = [self._config_text()]
        arguments += [f"inputs=[{', '.join(map(repr, self.inputs))}]", f"seed={self.seed}"]
        if self.faults:
            arguments.append(f"faults=[{', '.join(map(repr, self.faults))}]")
        if self.until is not None:
            arguments.append(f"until={self.until!r}")
        if self.queue != "memory://":
            arguments.append(f"queue={self.queue!r}")
        if self.processes != 1:
            arguments.append(f"processes={self.processes}")
        if self.schedule is not None:
            arguments.append(f"schedule={list(self.schedule)!r}")
        arguments += [f"{name}={self._named(name)}" for name in self.given]
        run = f"simulate({', '.join(arguments)})"
        if any(broken.name.startswith(CHECK) for broken in self.broken):
            run = f"check({run})"
        return f"{run}  # config {self.config.hash[:12]}, factflow-engine {__version__}"

    def _named(self, name: str) -> str:
        """Return the text of an argument that has none of its own; of models, those of stages that shrinking has left."""
        if name == "models" and self.is_smaller:
            stages = [f"{route}/{stage.name}" for route, each in self.config.routes.items() for stage in each.adapters]
            return f"[model for model in models if model.stage in {stages!r}]"
        return name

    def _config_text(self) -> str:
        if self.config_text is not None:
            return repr(self.config_text)
        return repr(self.config.file) if self.config.file.endswith((".yaml", ".yml")) else "config"

    def html(self, path: Path | str) -> Path:
        """Write the run as one HTML page that needs no network, and return its path.

        The page has the verdict, the line that reproduces the run, a timeline that can be filtered and zoomed, and the
        trace. It shows some thousand events at most, and says so if there are more. The same run gives the same bytes.

        Raises:
            OSError: The file cannot be written.
        """
        target = Path(path)
        target.write_text(page(self), encoding="utf-8", errors="backslashreplace", newline="")
        return target

    def check(self) -> "SimulationReport":
        """Return the report, if nothing was broken.

        Raises:
            SimulationFailedError: Something was; the text says what, and how to reproduce it.
        """
        if self.broken:
            shown = [f"- {broken}" for broken in self.broken[:_MOST_SHOWN]]
            if len(self.broken) > _MOST_SHOWN:
                shown.append(f"- and {len(self.broken) - _MOST_SHOWN} more")
            reproducers.note(self.reproducer)
            raise SimulationFailedError("\n".join(["the simulated run broke what must hold:", *shown]), self.reproducer)
        return self

    def with_broken(self, more: Sequence[Broken]) -> "SimulationReport":
        """Return the report with more that was broken."""
        return replace(self, broken=(*self.broken, *more))
