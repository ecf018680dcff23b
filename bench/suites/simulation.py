"""What simulated runs cost: how many a second, and how much of a run is the engine's own work.

A run is a pipeline of five routes with a hundred messages, its trace, and its judgement. Rates are the inverse of the wall
figures: 3,333 us a run are 300 a second. The check of every run is that all messages have left, whatever the faults.
"""

import os
from collections.abc import Callable, Mapping, Sequence

from bench.model import OURS, Case, Scale, Subject, at_most
from bench.timing import CPU, WALL, Stopwatch
from factflow_engine import OrchestratorManager, PipelineConfigLoader, ValidatingAdapterRegistry
from factflow_engine.runtime.report import ExecutionReport
from factflow_engine.testing import Simulation, SimulationReport, explore, in_virtual_time, simulate
from factflow_engine.testing.simulation import Fault, FaultRates
from factflow_protocols import AdapterResult, PipelineAdapter, PipelineContext

ROUTES = 5
RUN_US = 1e6 / 300
HOUR = 3_600


class Work(PipelineAdapter):
    """Forwards each message."""

    async def process(self, context: PipelineContext) -> AdapterResult:
        """Forward the message."""
        del context
        return AdapterResult.forward()


REGISTRY = ValidatingAdapterRegistry()
REGISTRY.register("work", Work)
LAST = f"r{ROUTES - 1}"
TEXT = "version: '1.0'\nroutes:\n" + "".join(
    f"  r{number}:\n    adapters: [{{type: work}}]\n    outbound: [{{{target}}}]\n"
    for number, target in enumerate(
        [*(f"route: r{number}" for number in range(1, ROUTES)), "queue: /queue/out, external: true"]
    )
)
CONFIG = PipelineConfigLoader(REGISTRY).load_text(TEXT)


def cases(scale: Scale) -> list[Case]:
    """Many runs on all cores; the parts of one; an hour of pipeline time."""
    messages = scale.asked(100, tiny=5)
    runs = scale.of(200, least=scale.asked(40, tiny=2))
    return [_campaign(runs, messages), _parts(scale.of(60, least=2), messages), _hour(scale.asked(HOUR, tiny=60))]


def _campaign(runs: int, messages: int) -> Case:
    jobs = min(2, os.cpu_count() or 1)
    return Case(
        name="campaign",
        answers="How long does a run take of a campaign on two cores: five routes, a hundred messages, judged?",
        metrics=(WALL,),
        subjects=(
            Subject(name=OURS, measure=_explored(runs, messages, jobs), note=f"explore(jobs={jobs})"),
            Subject(name="ours, one core", measure=_explored(runs, messages, 1)),
        ),
        targets=(at_most("wall", RUN_US, "us (300/s)"),),
        rounds=5,
    )


def _parts(runs: int, messages: int) -> Case:
    rates = FaultRates(until=60, duplicate=0.02, delay=0.02, lose_lease=0.02, crash_seconds=5)
    return Case(
        name="parts",
        answers="How much of a run is the engine's own work, and what do the broker and faults add?",
        metrics=(CPU, WALL),
        subjects=(
            Subject(name=OURS, measure=_simulated(runs, messages), note="simulate, queues in memory"),
            Subject(
                name="the engine alone", measure=_alone(runs, messages), note="in virtual time, no trace, no judge"
            ),
            Subject(name="ours, broker", measure=_simulated(runs, messages, queue="broker://")),
            Subject(name="ours, two processes, faults", measure=_simulated(runs, messages, "broker://", 2, [rates])),
        ),
        rounds=5,
    )


def _hour(seconds: int) -> Case:
    return Case(
        name="hour",
        answers="How long does an hour of pipeline time take, a message each ten seconds?",
        metrics=(WALL, CPU),
        subjects=(Subject(name=OURS, measure=_long(seconds)),),
        targets=(at_most("wall", 500_000, "us"),),
        rounds=5,
    )


def _payloads(messages: int) -> Mapping[str, Sequence[object]]:
    return {"r0": [{"number": number} for number in range(messages)]}


def checked(report: SimulationReport, messages: int) -> SimulationReport:
    """Return the report of a run in which every message has left.

    Raises:
        AssertionError: One has not, or a guarantee was broken.
    """
    left = len({output.message_id for output in report.outputs.get("/queue/out", ())})
    if report.check().counts.inputs != messages or left != messages:
        raise AssertionError(f"{left} of {messages} messages have left")
    return report


def _explored(runs: int, messages: int, jobs: int) -> Callable[[], Mapping[str, float]]:
    def measure() -> Mapping[str, float]:
        with Stopwatch() as watch:
            campaign = explore(
                CONFIG,
                registry=REGISTRY,
                inputs=_payloads(messages),
                seeds=range(runs),
                jobs=jobs,
                check=lambda report: checked(report, messages),
            ).check()
        if campaign.counts.runs != runs:
            raise AssertionError(f"{campaign.counts.runs} of {runs} runs were made")
        return {"wall": watch.per(runs)["wall"]}

    return measure


def _simulated(
    runs: int, messages: int, queue: str = "memory://", processes: int = 1, faults: Sequence[Fault] = ()
) -> Callable[[], Mapping[str, float]]:
    def measure() -> Mapping[str, float]:
        with Stopwatch() as watch:
            for seed in range(runs):
                checked(
                    simulate(
                        CONFIG,
                        registry=REGISTRY,
                        inputs=_payloads(messages),
                        seed=seed,
                        queue=queue,
                        processes=processes,
                        faults=faults,
                    ),
                    messages,
                )
        return watch.per(runs)

    return measure


def _alone(runs: int, messages: int) -> Callable[[], Mapping[str, float]]:
    async def main(simulation: Simulation) -> ExecutionReport:
        async with OrchestratorManager(registry=REGISTRY, seams=simulation.seams) as manager:
            execution = await manager.start(CONFIG)
            async with execution.subscribe("/queue/out", prefetch=messages):
                await execution.publish_batch("r0", _payloads(messages)["r0"])
                return await execution.complete()

    def measure() -> Mapping[str, float]:
        with Stopwatch() as watch:
            for seed in range(runs):
                report = in_virtual_time(main, seed=seed)
                if report.routes[LAST].completed != messages:
                    raise AssertionError(f"{report.routes[LAST].completed} of {messages} messages have ended")
        return watch.per(runs)

    return measure


def _long(seconds: int) -> Callable[[], Mapping[str, float]]:
    inputs = [("r0", {"at": at}, None, None, float(at)) for at in range(0, seconds, 10)]

    def measure() -> Mapping[str, float]:
        with Stopwatch() as watch:
            report = simulate(CONFIG, registry=REGISTRY, inputs=inputs)
        if checked(report, len(inputs)).seconds < seconds - 10:
            raise AssertionError(f"only {report.seconds} s of {seconds} have passed")
        return watch.per(1)

    return measure
