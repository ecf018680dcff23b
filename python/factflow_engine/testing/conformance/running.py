"""Runner of checks: each in a trio run and a folder of its own, within a time limit.

Kept separate from the checks, which a test framework may run as well.
"""

import difflib
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from factflow_engine.error_texts import describe, is_group, leaves
from factflow_engine.seams import SystemRandomness
from factflow_engine.testing.conformance.expectations import ConformanceError
from factflow_engine.testing.conformance.limits import limited
from factflow_engine.testing.conformance.report import CheckResult, ConformanceReport, Verdict
from factflow_engine.testing.virtual_time import in_virtual_time
from factflow_engine.user_frames import innermost, user_frames
from factflow_protocols import FactflowError


class NotApplicableError(FactflowError):
    """Finding of a check that it does not apply, with the reason; no failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCheck:
    """One check of one object.

    Attributes:
        name: Name of the check.
        body: Called with a folder of its own, empty and under a unique name.
        reason: Reason why it does not apply; empty if it does.
    """

    name: str
    body: Callable[[Path], Awaitable[None]]
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HowToRun:
    """Surroundings of the checks of one report.

    Attributes:
        only: Names of the checks to run; empty for all.
        virtual: True to run in virtual time.
        seed: Seed of the scheduling order in virtual time.
        seconds: Time limit of each check.
    """

    only: tuple[str, ...]
    virtual: bool
    seed: int
    seconds: float


def how_to_run(*, only: str | Iterable[str], virtual: bool, seed: int, seconds: float) -> HowToRun:
    """Return the surroundings that an author asked for.

    Raises:
        RuntimeError: Called inside a trio run.
    """
    if trio.lowlevel.in_trio_run():
        raise RuntimeError(
            "checks were started inside a trio run, expected outside: each of them is run by trio on its own; "
            "write `def test_...():` instead of `async def`"
        )
    return HowToRun(only=(only,) if isinstance(only, str) else tuple(only), virtual=virtual, seed=seed, seconds=seconds)


def run_planned(subject: str, checks: Sequence[PlannedCheck], how: HowToRun) -> ConformanceReport:
    """Run checks one after the other.

    Raises:
        ValueError: `only` names a check that is not among them.
    """
    names = [check.name for check in checks]
    for name in how.only:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"write one of {', '.join(names)}"
            raise ValueError(f"only: expected names of checks, got {name!r}; {hint}")
    chosen = [check for check in checks if not how.only or check.name in how.only]
    return ConformanceReport(subject, tuple(_result(check, how) for check in chosen))


def run_alone(body: Callable[[Path], Awaitable[None]], how: HowToRun) -> str | None:
    """Run one body as a check is run; return the failure, or None.

    Raises:
        NotApplicableError: The body found that it does not apply.
    """
    with _new_folder() as folder:

        async def main(_simulation: object = None) -> str | None:
            return await limited(lambda: body(folder), how.seconds)

        try:
            return in_virtual_time(main, seed=how.seed) if how.virtual else trio.run(main)
        except Exception as error:  # noqa: BLE001 - the provider is its author's, and so are its errors
            for cause in _causes(error):
                if isinstance(cause, NotApplicableError):
                    raise cause from None
            return failure_text(error)


def failure_text(error: Exception) -> str:
    """Return the failure that an exception of a check means, in words."""
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, ConformanceError):
            return str(cause)
    cause = causes[0]
    frame = innermost(user_frames(cause))
    text = describe(cause).partition("\n\n")[0]  # trio's explanations have further paragraphs
    return f"raised {text}" + (f", at {Path(frame.file).name}:{frame.line}" if frame else "")


def _causes(error: Exception) -> list[BaseException]:
    return list(leaves(error)) if is_group(error) else [error]


def _result(check: PlannedCheck, how: HowToRun) -> CheckResult:
    if check.reason:
        return CheckResult(name=check.name, verdict=Verdict.NOT_APPLICABLE, text=check.reason)
    try:
        failure = run_alone(check.body, how)
    except NotApplicableError as error:
        return CheckResult(name=check.name, verdict=Verdict.NOT_APPLICABLE, text=str(error))
    if failure is None:
        return CheckResult(name=check.name, verdict=Verdict.PASSED)
    return CheckResult(name=check.name, verdict=Verdict.FAILED, text=failure)


@contextmanager
def _new_folder() -> Iterator[Path]:
    folder = Path(tempfile.gettempdir()) / f"factflow_check_{SystemRandomness().token(8).hex()}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
