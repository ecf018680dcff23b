"""`factflow bench limits`: compare the algorithms of concurrency limits in simulated scenarios."""

import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from factflow_engine.adapters.importing import ModuleImportError, import_file, import_named
from factflow_engine.cli.bench_progress import told_progress
from factflow_engine.cli.bench_tables import print_comparison
from factflow_engine.cli.console import output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.findings import findings_document
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import debug_option
from factflow_engine.cli.settings import Layout, Settings
from factflow_engine.cli.streams import reserve_results, results
from factflow_engine.cli.text import clean
from factflow_engine.config import render_findings
from factflow_engine.limit_suite.contenders import Contender, OwnAlgorithmError, contenders
from factflow_engine.limit_suite.page import BINS, page
from factflow_engine.limit_suite.recordings import LEAST_CALLS, RecordingError, recorded_tasks
from factflow_engine.limit_suite.scenario_file import ScenarioError, scenario_tasks
from factflow_engine.limit_suite.suite import Task, compare, published_tasks, variants_of
from factflow_engine.native import FURTHER_LIMIT_SCENARIOS, LIMIT_SCALES, LIMIT_SCENARIOS

_MOST_VARIANTS: Final = 1_000
_MOST_THREADS: Final = 8
_MOST_SCALE: Final = 100
"""At it the largest scenario keeps 20 million calls: a gigabyte an algorithm."""
_OUTPUTS: Final = ("table", *(layout.value for layout in Layout if layout is not Layout.TEXT), "json", "html")


def _set_output(ctx: click.Context, _: click.Parameter, value: str) -> str:
    settings = ctx.ensure_object(Settings)
    settings.as_json = value == "json"
    settings.layout = Layout(value) if value in {Layout.PLAIN, Layout.WIDE} else Layout.TEXT
    return value


@click.command(
    "limits",
    short_help="Compare the algorithms of concurrency limits.",
    epilog=f"""Scenarios: {", ".join(LIMIT_SCENARIOS)}. By name alone: {", ".join(FURTHER_LIMIT_SCENARIOS)}.

\b
Examples:
  factflow bench limits
  factflow bench limits --algorithm adaptive --algorithm fixed:limit=20 --scale 1
  factflow bench limits --scenario steady --scenario outage --output json
  factflow bench limits --variants 20 --seed 7
  factflow bench limits --output html > limits.html

An algorithm is its name, with parameters if you like: aimd:timeout_ns=1e8 or vegas:window.size=10. Scores: 1 is the
oracle's, which knows the server. U: successes, I and I99: mean and 99th percentile of latency, each in the oracle's;
E: share of failures beyond the oracle's; J: fairness between routes. The score is U by I, less E, times J.""",
)
@click.option("--algorithm", "algorithms", multiple=True, metavar="NAME[:...]", help="Only these; may be repeated.")
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    metavar="NAME|FILE.yaml",
    help="Only these: published ones, or files of your own; may be repeated.",
)
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    metavar="FILE.jsonl",
    help="Replay latencies that `factflow run --record-latency` wrote, a scenario a stage.",
)
@click.option(
    "--scale",
    "scales",
    multiple=True,
    type=click.FloatRange(min=0, max=_MOST_SCALE, min_open=True),
    metavar="NUMBER",
    help="Only these scales of the capacities; may be repeated.  [default: 0.2, 1 and 5]",
)
@click.option(
    "--variants",
    type=click.IntRange(min=1, max=_MOST_VARIANTS),
    metavar="N",
    help="Run N random variants of each scenario instead of it.",
)
@click.option("--seed", type=click.IntRange(min=0, max=2**63), help="Seed of the variants.  [default: 1]")
@click.option(
    "-a",
    "--adapters",
    "modules",
    multiple=True,
    metavar="MODULE|FILE.py",
    help="Also import this module, which registers algorithms of its own; may be repeated.",
)
@click.option(
    "-o",
    "--output",
    "kind",
    type=click.Choice(_OUTPUTS),
    default="table",
    show_default=True,
    is_eager=True,
    callback=_set_output,
    help="What standard output gets: tables for people, plain rows of cells with tabs between and no headings, wide "
    "tables with every measure, one JSON document, or one HTML page with charts, which needs no network.",
)
@debug_option
@click.pass_obj
def limits_command(
    settings: Settings,
    *,
    algorithms: tuple[str, ...],
    scenarios: tuple[str, ...],
    trace: Path | None,
    scales: tuple[float, ...],
    variants: int | None,
    seed: int | None,
    modules: tuple[str, ...],
    kind: str,
) -> int:
    """Compare the algorithms of concurrency limits in simulated scenarios.

    Every algorithm meets every scenario at every scale, in virtual time, beside an oracle that knows the server. Results
    are the same on every machine. The league table and every cell are printed.
    """
    if kind != "table":
        reserve_results(owns_process=settings.owns_process)
    if seed is not None and variants is None:
        raise InvalidInputError("--seed is the seed of random variants: add --variants N")
    _import_modules(modules)
    compared, tasks = _contenders(algorithms), _tasks(scenarios, trace, scales, variants, seed)
    with told_progress(len(compared) * len(tasks)) as told:
        bins = BINS if kind == "html" else None
        try:
            comparison = compare(tasks, compared, threads=_threads(), bins=bins, told=told)
        except OwnAlgorithmError as error:
            raise InvalidInputError(str(error)) from error
    if settings.as_json:
        print_document(comparison.document(), settings)
    elif kind == "html":
        click.echo(page(comparison), file=results(), nl=False)
    else:
        print_comparison(comparison, output(), settings.layout)
    return ExitStatus.OK


def _contenders(asked: Sequence[str]) -> tuple[Contender, ...]:
    try:
        return contenders(asked)
    except (ValueError, TypeError, OwnAlgorithmError) as error:
        raise InvalidInputError(f"--algorithm: {error}") from error


def _tasks(
    asked: Sequence[str], trace: Path | None, scales: Sequence[float], variants: int | None, seed: int | None
) -> tuple[Task, ...]:
    """Return what is simulated: the catalogue, unless something else was asked for.

    Raises:
        InvalidInputError: A scenario or the trace cannot be used, or the options do not go together.
    """
    scales = tuple(dict.fromkeys(scales))
    if any(map(math.isnan, scales)):
        raise InvalidInputError(f"--scale: expected a number above 0 and up to {_MOST_SCALE}, got nan")
    names = [name for name in dict.fromkeys(asked) if not _is_file(name)]
    files = [name for name in dict.fromkeys(asked) if _is_file(name)]
    if variants is not None and (files or trace is not None):
        raise InvalidInputError("--variants are of published scenarios: leave out files of --scenario, and --trace")
    tasks = [] if trace is None else list(_recorded(trace))
    for name in files:
        tasks += _described(Path(name), scales or LIMIT_SCALES)
    if names or not tasks:
        try:
            tasks += published_tasks(names, scales)
        except ValueError as error:
            raise InvalidInputError(f"--scenario: {error}; or the path of a YAML file") from error
    (name, _), times = Counter((task.label, task.scale) for task in tasks).most_common(1)[0]
    if times > 1:
        raise InvalidInputError(
            f"--scenario: {times} scenarios have the name {name!r}; write another `name:` in a file"
        )
    return tuple(tasks) if variants is None else variants_of(tasks, variants, 1 if seed is None else seed)


def _is_file(name: str) -> bool:
    return name.endswith((".yaml", ".yml")) or Path(name).is_file()


def _described(path: Path, scales: tuple[float, ...]) -> tuple[Task, ...]:
    try:
        return scenario_tasks(path, scales)
    except ScenarioError as error:
        shown = render_findings(error.findings, error.source)
        document = {"status": "invalid", "findings": findings_document(error.findings)}
        raise InvalidInputError(f"--scenario {path} cannot be used\n{shown}", document) from error


def _recorded(path: Path) -> tuple[Task, ...]:
    try:
        found = recorded_tasks(path)
    except RecordingError as error:
        raise InvalidInputError(f"--trace: {error}") from error
    if found.left_out:
        few = ", ".join(f"{clean(name)} ({count})" for name, count in found.left_out.items())
        click.echo(f"factflow: --trace {path}: left out stages with fewer than {LEAST_CALLS} calls: {few}", err=True)
    return found.tasks


def _import_modules(modules: Sequence[str]) -> None:
    for module in dict.fromkeys(modules):
        path = Path(module)
        try:
            _: Any = import_file(path) if path.is_file() else import_named(module)
        except ModuleImportError as error:
            raise InvalidInputError(f"--adapters {module} cannot be used: {error}") from error


def _threads() -> int:
    """Return the number of simulations at a time: one a core that this process may use."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        cores = os.cpu_count() or 1
    return min(cores, _MOST_THREADS)
