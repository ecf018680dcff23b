"""Output of `factflow test`: a line for each test, diffs, the table of the coverage, files for other programs.

Kept separate from the command because texts and documents say the same of the same results.
"""

import json
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from rich.console import Console
from rich.text import Text

from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.settings import Layout
from factflow_engine.cli.tables import Table, names
from factflow_engine.cli.text import clean, plural
from factflow_engine.seams import SystemClock
from factflow_engine.testing.config_tests.coverage import Coverage, document, percent, total
from factflow_engine.testing.config_tests.expectations import Problem, seconds_text
from factflow_engine.testing.config_tests.models import TestModel
from factflow_engine.testing.config_tests.running import TestResult, Verdict, run_test
from factflow_engine.testing.config_tests.suites import Suite

_STYLES: Final = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.ERROR: "bold red"}
_CLOCK: Final = SystemClock()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A result, with the real seconds that it took."""

    result: TestResult
    seconds: float

    @staticmethod
    def of(suite: Suite, test: TestModel, *, seed: int | None, seeds: int) -> Iterator["Ran"]:
        """Run a test under its seeds, and yield each result."""
        first = test.seed if seed is None else seed
        for more in range(seeds):
            yield Ran.one(suite, test, first + more)

    @classmethod
    def one(cls, suite: Suite, test: TestModel, seed: int) -> Self:
        """Run a test under one seed."""
        begun_ns = _CLOCK.monotonic_ns()
        result = run_test(suite, test, seed=seed)
        return cls(result=result, seconds=(_CLOCK.monotonic_ns() - begun_ns) / 1e9)

    def to_line(self) -> str:
        """Return the result as a line of JSON, for another process."""
        return json.dumps({"seconds_real": self.seconds, **asdict(self.result)})

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Return the result that `to_line` wrote."""
        found = json.loads(line)
        seconds = found.pop("seconds_real")
        found["problems"] = tuple(Problem(**each) for each in found["problems"])
        found["notes"] = tuple(found["notes"])
        found["verdict"] = Verdict(found["verdict"])
        return cls(result=TestResult(**found), seconds=seconds)


class ResultPrinter:
    """Printer of results: one line for each test, and more for each that fails.

    Args:
        console: The console.
        adapter_modules: Values of `--adapters`, for the lines that do it again.
        shows_trace: True to print traces.
        is_silent: True to print nothing.
    """

    def __init__(self, console: Console, adapter_modules: Sequence[str], *, shows_trace: bool, is_silent: bool) -> None:
        self._console = console
        self._modules = adapter_modules
        self._shows_trace = shows_trace
        self._is_silent = is_silent

    def show(self, running: Iterator[Ran]) -> list[Ran]:
        """Run one test under its seeds, print its line, and return the results."""
        ran = list(running)
        if not self._is_silent:
            self._print(ran)
        return ran

    def show_all(self, ran: Sequence[Ran]) -> None:
        """Print the results of tests that were run elsewhere."""
        grouped: dict[tuple[str, str], list[Ran]] = {}
        for each in ran:
            grouped.setdefault((each.result.file, each.result.name), []).append(each)
        for group in grouped.values():
            self.show(iter(group))

    def end(self, ran: Sequence[Ran]) -> None:
        """Print the last line."""
        tests: dict[tuple[str, str], bool] = {}
        for each in ran:
            key = each.result.file, each.result.name
            tests[key] = tests.get(key, True) and each.result.passed
        failed = sum(not passed for passed in tests.values())
        seeds = f" under {plural(len(ran), 'seed')} in all" if len(ran) > len(tests) else ""
        line = f"{plural(len(tests), 'test')}{seeds}: {len(tests) - failed:,} passed, {failed:,} failed"
        self._line(Text(line, style="bold red" if failed else "green"))

    def _print(self, ran: Sequence[Ran]) -> None:
        failing = [each.result for each in ran if not each.result.passed]
        shown = failing[0] if failing else ran[0].result
        if len(ran) == 1:
            more = seconds_text(shown.seconds)
        elif failing:
            more = f"{len(failing):,} of {plural(len(ran), 'seed')}"
        else:
            more = plural(len(ran), "seed")
        head = Text.assemble(
            (f"{shown.verdict.value.upper():5}", _STYLES[shown.verdict]),
            f" {clean(shown.file)}: {clean(shown.name)}  ({more})",
        )
        self._line(head)
        if failing:
            self._failure(shown)
        if self._shows_trace:
            self._block(shown.trace)
        if failing:
            self._line(Text(f"      again: {self._again(shown)}"))

    def _failure(self, result: TestResult) -> None:
        for problem in result.problems:
            self._line(Text(f"      {clean(problem.what)}", style="bold"))
            self._block(problem.diff())
        for note in result.notes:
            self._line(Text(f"      note: {clean(note)}"))

    def _block(self, text: str) -> None:
        for line in text.splitlines():
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            self._line(Text(f"      {clean(line)}", style=style))

    def _line(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True)

    def _again(self, result: TestResult) -> str:
        modules = [word for module in self._modules for word in ("-a", module)]
        words = ["factflow", "test", result.file, "--only", result.name, "--seed", str(result.seed), *modules]
        return clean(shlex.join(words))


class CoveragePrinter:
    """Printer of the coverage of pipelines."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def show(self, coverages: Sequence[Coverage]) -> None:
        """Print a table, and what no test reaches."""
        kinds = list(total(coverages))
        table = Table(*names("pipeline", *kinds, "covered"))
        rows = [(each.file, each.counts()) for each in coverages]
        if len(rows) > 1:
            rows.append(("all", total(coverages)))
        for file, counts in rows:
            cells = [f"{reached}/{of}" for reached, of in counts.values()]
            table.add(clean(file), *cells, f"{percent(counts):.1f} %")
        table.print(self._console, Layout.TEXT)
        for each in coverages:
            for goal in each.missed:
                place = f"{each.file}:{goal.line}" if goal.line else each.file
                line = f"{clean(place)}: {clean(goal.path)}: never {goal.what}: {clean(goal.text)}"
                self._console.print(Text(line), soft_wrap=True)


def results_document(ran: Sequence[Ran], coverages: Sequence[Coverage] | None) -> dict[str, Any]:
    """Return results as a JSON document."""
    return {
        "passed": all(each.result.passed for each in ran),
        "results": [
            {
                "file": each.result.file,
                "name": each.result.name,
                "seed": each.result.seed,
                "verdict": each.result.verdict.value,
                "virtual_seconds": each.result.seconds,
                "seconds": round(each.seconds, 6),
                "problems": [{**asdict(problem), "diff": problem.diff()} for problem in each.result.problems],
                "notes": list(each.result.notes),
            }
            for each in ran
        ],
        **({} if coverages is None else {"coverage": document(coverages)}),
    }


def coverage_document(coverages: Sequence[Coverage]) -> str:
    """Return the coverage as the text of a JSON file."""
    return json.dumps(document(coverages), indent=2) + "\n"


def write_file(path: Path, text: str, option: str) -> None:
    """Write a file whole: under another name first.

    Raises:
        InvalidInputError: It cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InvalidInputError(f"{option} {path}: cannot be written: {error.strerror or error}") from error
