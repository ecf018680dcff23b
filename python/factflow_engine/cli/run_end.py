"""End of a run: its exit status, and the notices that follow it.

Kept separate from `run` because the exit status is a rule of its own, which scripts depend on.
"""

from collections.abc import Iterator

from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.session import SessionEnd
from factflow_engine.cli.text import plural
from factflow_engine.runtime.report import ExecutionReport, ExecutionStatus, Outcome


def status_of(end: SessionEnd, *, fail_on_failed: int | None, forever: bool, is_recorded: bool = True) -> ExitStatus:
    """Return the exit status of a run.

    A signal comes before failed messages, because the run is not known to be whole; but a run with `forever` has no
    other end, and if its drain left nothing, its failed messages count.

    Args:
        end: End of the session.
        fail_on_failed: Number of messages that must have failed for `MESSAGES_FAILED`; None: none have to.
        forever: True if only a signal ends the run.
        is_recorded: False if its end should have been stored, and could not be.
    """
    report = end.report
    is_whole = report is not None and report.status is ExecutionStatus.COMPLETED
    if is_whole and fail_on_failed is not None and (end.interrupted_by is None or forever):
        assert report is not None
        if sum(_failed(report)) >= fail_on_failed:
            return ExitStatus.MESSAGES_FAILED
    if end.interrupted_by is not None:
        return ExitStatus(128 + end.interrupted_by)
    if not is_whole:
        return ExitStatus.FAILED
    return ExitStatus.OK if is_recorded else ExitStatus.UNRECORDED


def failure_notice(end: SessionEnd, status: ExitStatus) -> str | None:
    """Return the last line of a run of which messages failed; None if none did."""
    if end.report is None or not any(_failed(end.report)):
        return None
    hint = "; the exit status is 0 all the same: --fail-on-failed makes it 3" if status is ExitStatus.OK else ""
    return f"{' and '.join(_counted(*_failed(end.report)))}{hint}"


def empty_notice(end: SessionEnd, *, durable: bool) -> str | None:
    """Return the notice that a completed execution had nothing to do; None if it had something."""
    report = end.report
    if report is None or report.status is not ExecutionStatus.COMPLETED or end.interrupted_by is not None:
        return None
    if any(route.received or route.waiting for route in report.routes.values()):
        return None
    remedy = (
        "publish to its queues with `factflow publish`, or wait for messages with --forever"
        if durable
        else "or keep messages in a queue that others can publish to: --queue sqlite:///queue.db"
    )
    return f"no message came: the pipeline has no init_message, and nothing waits in its queues; add an init_message, {remedy}"


def _failed(report: ExecutionReport) -> tuple[int, int]:
    """Return how many messages failed, and how many were dead-lettered."""
    return report.outcomes.get(Outcome.FAILED, 0), report.outcomes.get(Outcome.DEAD_LETTERED, 0)


def _counted(failed: int, dead_lettered: int) -> Iterator[str]:
    if failed:
        yield f"{plural(failed, 'message')} failed"
    if dead_lettered:
        noun = f"{dead_lettered:,}" if failed else plural(dead_lettered, "message")
        yield f"{noun} {'was' if dead_lettered == 1 else 'were'} dead-lettered"
