"""Memory, many executions at a time, and start-up: each measured in a process of its own, which is thrown away."""

import time
from collections.abc import Callable, Mapping

from bench.child import run_program
from bench.model import OURS, Case, Metric, Scale, Subject, Target, at_most

PEAK = Metric(name="growth", unit="MB")
RSS = Metric(name="each", unit="MB")
BURST = Metric(name="burst", unit="x")
START = Metric(name="wall", unit="ms")
START_CPU = Metric(name="cpu", unit="ms")


def cases(scale: Scale) -> list[Case]:
    """Lazy emission, two hundred executions, import and first message."""
    many = scale.of(1_000_000)
    executions = scale.asked(200, tiny=5)
    few = scale.asked(10_000, tiny=500)
    burst = scale.of(100_000)
    return [
        Case(
            name="lazy emission",
            answers=f"One stage emits {many:,} messages through three routes: how much more memory than for {few:,}?",
            metrics=(PEAK, Metric(name="peak", unit="MB"), Metric(name="hop", unit="us")),
            subjects=(
                Subject(name=OURS, measure=emission("lazily", many, few), note="an iterator"),
                Subject(
                    name="emitted as a list",
                    measure=emission("list", many, few),
                    note="what the same figure is where all are held at once",
                ),
            ),
            targets=(at_most("growth", 30, "MB"),),
            rounds=3,
        ),
        Case(
            name="many executions",
            answers=(
                f"{executions} executions of five routes: memory of each while idle; then {burst:,} messages through "
                "all of them, compared with the same number through one?"
            ),
            metrics=(RSS, BURST, Metric(name="all", unit="us a hop"), Metric(name="one", unit="us a hop")),
            subjects=(Subject(name=OURS, measure=_many(executions, burst)),),
            targets=(at_most("each", 1.0, "MB"), at_most("burst", 1.3, "times the cost of one")),
            rounds=5,
        ),
        _start(
            "import",
            "How long does it take to import what an embedding program needs, in a process that has imported nothing?",
            "imports",
            150,
            floors=(
                ("import trio", "imports_trio", "what it cannot be faster than"),
                ("import trio, pydantic", "imports_dependencies", "what a program with a config model imports anyway"),
            ),
        ),
        _start(
            "first message",
            "From process start to the first message through a pipeline of one route?",
            "first_message",
            300,
            floors=(
                ("bare interpreter", "nothing", "what no program can avoid"),
                ("its libraries", "libraries", "trio.run, a small YAML text, one pydantic model; nothing of ours"),
            ),
        ),
    ]


def _start(name: str, answers: str, program: str, limit: float, *, floors: tuple[tuple[str, str, str], ...]) -> Case:
    target: Target = at_most("wall", limit, "ms")
    return Case(
        name=name,
        answers=answers,
        metrics=(START, START_CPU),
        subjects=(
            Subject(name=OURS, measure=_from_start(program)),
            *(Subject(name=floor, measure=_from_start(other), note=note) for floor, other, note in floors),
        ),
        targets=(target,),
        rounds=15,
    )


def emission(how: str, count: int, few: int) -> Callable[[], Mapping[str, float]]:
    """A `Subject.measure`: emit `count` messages `lazily` or as a `list`; how much more memory than for `few`."""

    def measure() -> Mapping[str, float]:
        small, large = run_program("emission", how, str(few)), run_program("emission", how, str(count))
        return {"growth": max(0.0, large["peak"] - small["peak"]), "peak": large["peak"], "hop": large["hop"]}

    return measure


def _many(executions: int, burst: int) -> Callable[[], Mapping[str, float]]:
    def measure() -> Mapping[str, float]:
        figures = run_program("executions", str(executions), str(burst))
        return {**figures, "burst": figures["all"] / figures["one"]}

    return measure


def _from_start(program: str) -> Callable[[], Mapping[str, float]]:
    def measure() -> Mapping[str, float]:
        started = time.monotonic()
        figures = run_program(program)
        wall = figures["took_ms"] if "took_ms" in figures else (figures["at"] - started) * 1e3
        return {"wall": wall, "cpu": figures["cpu_ms"]}

    return measure
