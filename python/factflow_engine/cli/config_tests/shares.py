"""Shares of tests, each run by a process of its own: `factflow test --jobs`.

A process is this command again with the hidden option `--share`, which prints a line of JSON for each result. Kept separate
from the command because only this module starts processes.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from factflow_engine.cli.config_tests.output import Ran
from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.streams import reserve_results, results
from factflow_engine.testing.config_tests.models import TestModel
from factflow_engine.testing.config_tests.suites import Suite
from factflow_protocols import FactflowError

Chosen = Sequence[tuple[Suite, Sequence[TestModel]]]

_PROGRAM: Final = "from factflow_engine.cli import main; main()"


class ShareError(FactflowError):
    """Process of `--jobs` that ended without its results."""


def _tasks(suites: Chosen, seed: int | None, seeds: int) -> list[tuple[Suite, TestModel, int]]:
    return [
        (suite, test, (test.seed if seed is None else seed) + more)
        for suite, tests in suites
        for test in tests
        for more in range(seeds)
    ]


def run_share(suites: Chosen, share: str, *, seed: int | None, seeds: int) -> int:
    """Run every Nth test, and print each result as a line of JSON.

    Raises:
        InvalidInputError: The share is none.
    """
    first, _, step = share.partition("/")
    if not (first.isdecimal() and step.isdecimal() and int(first) < int(step)):
        raise InvalidInputError(f"--share: expected I/N, got {share!r}")
    reserve_results(owns_process=True)
    for suite, test, one in _tasks(suites, seed, seeds)[int(first) :: int(step)]:
        click.echo(Ran.one(suite, test, one).to_line(), file=results())
    return ExitStatus.OK


def run_shares(
    paths: Sequence[Path],
    adapter_modules: Sequence[str],
    suites: Chosen,
    *,
    only: str | None,
    seed: int | None,
    seeds: int,
    jobs: int,
) -> list[Ran]:
    """Run tests in several processes, and return the results in the tests' order.

    Raises:
        ShareError: A process died.
    """
    count = len(_tasks(suites, seed, seeds))
    jobs = min(jobs, count)
    options = [word for module in adapter_modules for word in ("--adapters", module)]
    options += [] if only is None else ["--only", only]
    options += [] if seed is None else ["--seed", str(seed)]
    options += ["--seeds", str(seeds)]
    processes = [
        subprocess.Popen(  # noqa: S603 - this interpreter, with the arguments of this command
            [sys.executable, "-c", _PROGRAM, "test", *options, "--share", f"{place}/{jobs}", "--", *map(str, paths)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        for place in range(jobs)
    ]
    ran: dict[int, Ran] = {}
    try:
        for place, process in enumerate(processes):
            lines = process.communicate()[0].splitlines()
            expected = len(range(place, count, jobs))
            if process.returncode or len(lines) != expected:
                raise ShareError(
                    f"process {place + 1} of --jobs {jobs} ended with status {process.returncode} after {len(lines)} of "
                    f"{expected} results; run it with --jobs 1"
                )
            ran.update((place + jobs * number, Ran.from_line(line)) for number, line in enumerate(lines))
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()
    return [ran[number] for number in sorted(ran)]
