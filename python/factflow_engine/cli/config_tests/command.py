"""`factflow test`: run the tests of configurations, in virtual time."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from factflow_engine.cli.building import app_for
from factflow_engine.cli.config_tests.output import (
    CoveragePrinter,
    Ran,
    ResultPrinter,
    coverage_document,
    results_document,
    write_file,
)
from factflow_engine.cli.config_tests.shares import run_share, run_shares
from factflow_engine.cli.console import messages, output
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.findings import findings_document, print_findings, summary
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.json_output import print_document
from factflow_engine.cli.options import adapters_option, debug_option, output_option
from factflow_engine.cli.settings import Settings
from factflow_engine.cli.text import clean, plural
from factflow_engine.config import LoadResult
from factflow_engine.testing.config_tests.coverage import Coverage, percent, total
from factflow_engine.testing.config_tests.files import NoTestsError, find_test_files
from factflow_engine.testing.config_tests.junit import junit_xml
from factflow_engine.testing.config_tests.reading import ConfigTestFileError, read_tests
from factflow_engine.testing.config_tests.running import chosen
from factflow_engine.testing.config_tests.suites import Suite, open_suite


@click.command(
    "test",
    short_help="Run the tests beside pipelines, in virtual time.",
    epilog="""\b
Examples:
  factflow test pipeline.yaml
  factflow test pipelines/ --adapters my_adapters.py --junit results.xml
  factflow test pipeline.yaml --only 'large orders' --trace
  factflow test pipelines/ --coverage --fail-under 90
  factflow test pipeline.yaml --seeds 100 --jobs 4

Exit status: 0 all pass, 1 some fail or less is covered than --fail-under asks for, 2 a file has to be changed first.""",
)
@click.argument("paths", metavar="FILE|DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@adapters_option
@click.option(
    "--only", metavar="NAME", help="Run the test of this name; if there is none, those whose names have it in them."
)
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="Seed in the place of the tests' own.")
@click.option(
    "--seeds", type=click.IntRange(min=1, max=1_000_000), default=1, show_default=True, metavar="N",
    help="Run each test under so many seeds: its own, and the following ones. All must pass.",
)  # fmt: skip
@click.option(
    "--jobs", type=click.IntRange(min=1, max=256), default=1, show_default=True, metavar="N",
    help="Processes that share the tests.",
)  # fmt: skip
@click.option("--trace", is_flag=True, help="Print what happened in each test that is run, a line each.")
@click.option(
    "--junit", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the results as JUnit XML."
)
@click.option(
    "--coverage", "shows_coverage", is_flag=True, help="Print which routes, outbounds and conditions the tests reach."
)
@click.option(
    "--coverage-json",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the coverage as JSON.",
)
@click.option(
    "--fail-under", type=click.FloatRange(min=0, max=100), metavar="PERCENT",
    help="Exit with status 1 if less than this is covered.",
)  # fmt: skip
@click.option("--share", hidden=True, metavar="I/N", help="Run every Nth test and print results for another process.")
@output_option
@debug_option
@click.pass_obj
def test_command(
    settings: Settings,
    *,
    paths: tuple[Path, ...],
    adapter_modules: tuple[str, ...],
    only: str | None,
    seed: int | None,
    seeds: int,
    jobs: int,
    trace: bool,
    junit: Path | None,
    shows_coverage: bool,
    coverage_json: Path | None,
    fail_under: float | None,
    share: str | None,
) -> int:
    """Run the tests in FILE, or those beside the pipeline FILE, or all below DIR, on the real engine in virtual time.

    A pipeline's tests lie in PIPELINE.test.yaml or PIPELINE_test.yaml beside it. What the tests say that a stage answers
    takes the place of its adapter, which need not be installed. Queues, stores and time are simulated; nothing outside is
    touched but by adapters that a test does not replace.
    """
    opened = _opened(paths, adapter_modules, settings)
    if opened is None:
        return ExitStatus.INVALID
    suites = [(suite, chosen(suite, only)) for suite in opened]
    if not any(tests for _, tests in suites):
        raise InvalidInputError(f"--only {clean(only or '')!r}: no test has this in its name")
    if share is not None:
        return run_share(suites, share, seed=seed, seeds=seeds)
    printer = ResultPrinter(output(), adapter_modules, shows_trace=trace, is_silent=settings.as_json)
    ran: list[Ran] = []
    if jobs > 1:
        ran = run_shares(paths, adapter_modules, suites, only=only, seed=seed, seeds=seeds, jobs=jobs)
        printer.show_all(ran)
    else:
        for suite, tests in suites:
            for test in tests:
                ran += printer.show(Ran.of(suite, test, seed=seed, seeds=seeds))
    coverages = []
    if shows_coverage or coverage_json is not None or fail_under is not None:
        coverages = _coverages(opened, only)
    failed = sum(not each.result.passed for each in ran)
    reached = percent(total(coverages)) if coverages else 100.0
    is_short = fail_under is not None and reached < fail_under
    if junit is not None:
        write_file(junit, junit_xml([(each.result, each.seconds) for each in ran]), "--junit")
    if coverage_json is not None:
        write_file(coverage_json, coverage_document(coverages), "--coverage-json")
    status = ExitStatus.FAILED if failed or is_short else ExitStatus.OK
    if settings.as_json:
        print_document(
            {**results_document(ran, coverages if shows_coverage else None), "exit_status": int(status)}, settings
        )
    else:
        printer.end(ran)
        if shows_coverage:
            CoveragePrinter(output()).show(coverages)
    if is_short:
        click.echo(f"factflow: {reached:.1f} % is covered, which is less than --fail-under {fail_under:g}", err=True)
    return status


def _opened(paths: Sequence[Path], adapter_modules: Sequence[str], settings: Settings) -> list[Suite] | None:
    """Return the tests with their pipelines; None, and findings are printed, if some cannot be run.

    Raises:
        InvalidInputError: There are no tests at a path.
    """
    try:
        files = find_test_files(paths)
    except NoTestsError as error:
        raise InvalidInputError(str(error)) from None
    app = app_for(adapter_modules)
    console = messages()
    suites: list[Suite] = []
    errors: list[ConfigTestFileError] = []
    for file in files:
        try:
            suite = open_suite(read_tests(file), app.registry)
        except ConfigTestFileError as error:
            errors.append(error)
            print_findings(LoadResult(config=None, findings=error.findings, text=error.source), console)
            _say(console, f"factflow: {clean(str(file))} cannot be run: {summary(error.findings)}")
        else:
            suites.append(suite)
            print_findings(LoadResult(config=None, findings=suite.findings, text=suite.file.text), console)
    if not errors:
        return suites
    if settings.as_json:
        found = [finding for error in errors for finding in error.findings]
        print_document({"status": "invalid", "findings": findings_document(found)}, settings)
    elif len(files) > 1:
        _say(console, f"factflow: {plural(len(errors), 'file')} of {len(files):,} cannot be run; nothing was")
    return None


def _say(console: Console, line: str) -> None:
    console.print(Text(line), soft_wrap=True)
    sys.stderr.flush()


def _coverages(suites: Sequence[Suite], only: str | None) -> list[Coverage]:
    found: dict[tuple[str, str], Coverage] = {}
    for suite in suites:
        # Files of tests with different environments are of different pipelines.
        key = str(suite.pipeline.resolve()), repr(sorted(suite.file.model.environment.items()))
        coverage = found.setdefault(key, Coverage(suite.config, str(suite.pipeline)))
        coverage.add(suite, only=only)
    return list(found.values())
