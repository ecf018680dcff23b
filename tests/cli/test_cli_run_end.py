"""The end of a run: its status where messages failed, and the last line that says so."""

import signal

import pytest

from factflow_engine.cli.exit_status import ExitStatus
from factflow_engine.cli.run_end import empty_notice, failure_notice, status_of
from factflow_engine.cli.session import SessionEnd
from factflow_engine.runtime.report import ExecutionStatus

FAILING = """\
version: "1.0"
name: failing
routes:
  r:
    adapters:
      - {type: split, config: {field: items}}
      - {type: pick_fields, config: {fields: [present], missing: reject}}
init_message: {route: r, payload: {items: [{present: 1}, {absent: 1}, {absent: 2}]}}
"""


def ended(samples, *, failed=0, dead_lettered=0, status=ExecutionStatus.COMPLETED, by=None):
    route = samples.route(failed=failed, dead_lettered=dead_lettered)
    return SessionEnd(report=samples.report(status=status, routes={"r": route}), interrupted_by=by)


@pytest.mark.parametrize(
    ("failed", "dead_lettered", "least", "expected"),
    [(0, 0, 1, 0), (1, 0, 1, 3), (0, 1, 1, 3), (1, 1, 3, 0), (1, 2, 3, 3), (5, 5, None, 0)],
)
def test_enough_failed_or_dead_lettered_messages_have_a_status(samples, failed, dead_lettered, least, expected):
    end = ended(samples, failed=failed, dead_lettered=dead_lettered)
    assert status_of(end, fail_on_failed=least, forever=False) == expected


@pytest.mark.parametrize("least", [None, 1])
def test_another_failure_comes_first(samples, least):
    end = ended(samples, failed=9, status=ExecutionStatus.FAILED)
    assert status_of(end, fail_on_failed=least, forever=False) is ExitStatus.FAILED


def test_a_signal_comes_first(samples):
    end = ended(samples, failed=9, by=signal.SIGINT)
    assert status_of(end, fail_on_failed=1, forever=False) is ExitStatus.INTERRUPTED


@pytest.mark.parametrize(
    ("status", "failed", "expected"),
    [
        (ExecutionStatus.COMPLETED, 9, ExitStatus.MESSAGES_FAILED),
        (ExecutionStatus.COMPLETED, 0, ExitStatus.TERMINATED),
        (ExecutionStatus.CANCELLED, 9, ExitStatus.TERMINATED),
    ],
)
def test_a_run_that_only_a_signal_ends_tells_of_failures_if_its_drain_left_nothing(samples, status, failed, expected):
    end = ended(samples, failed=failed, status=status, by=signal.SIGTERM)
    assert status_of(end, fail_on_failed=1, forever=True) is expected


def test_a_run_that_never_started_has_the_status_of_its_signal():
    end = SessionEnd(report=None, interrupted_by=signal.SIGTERM)
    assert status_of(end, fail_on_failed=1, forever=True) is ExitStatus.TERMINATED
    assert failure_notice(end, ExitStatus.TERMINATED) is None
    assert empty_notice(end, durable=True) is None


@pytest.mark.parametrize(
    ("failed", "dead_lettered", "expected"),
    [
        (0, 0, None),
        (1, 0, "1 message failed"),
        (2, 1, "2 messages failed and 1 was dead-lettered"),
        (0, 1200, "1,200 messages were dead-lettered"),
    ],
)
def test_the_last_line_counts(samples, failed, dead_lettered, expected):
    end = ended(samples, failed=failed, dead_lettered=dead_lettered)
    assert failure_notice(end, ExitStatus.MESSAGES_FAILED) == expected


@pytest.mark.parametrize("options", [(), ("--progress", "none"), ("--output", "json"), ("--output", "plain")])
def test_the_last_line_says_that_messages_failed(factflow, pipeline, options):
    said = factflow("run", pipeline(FAILING), *options)
    assert said.status == 0
    assert said.err.splitlines()[-1] == (
        "factflow: 2 messages failed; the exit status is 0 all the same: --fail-on-failed makes it 3"
    )


def test_without_failures_there_is_no_last_line(factflow, pipeline):
    said = factflow("run", pipeline(FAILING.replace("missing: reject", "missing: skip")), "--fail-on-failed")
    assert said.status == 0
    assert "failed" not in said.err.splitlines()[-1].replace("failed 0", "")


@pytest.mark.parametrize("option", [["--fail-on-failed"], ["--fail-on-failed", "2"], ["--fail-on-failed=2"]])
@pytest.mark.parametrize("is_first", [True, False])
def test_the_option_takes_a_number_if_one_follows(factflow, pipeline, option, is_first):
    file = pipeline(FAILING)
    said = factflow("run", *(option if is_first else []), file, *([] if is_first else option))
    assert said.status == 3
    assert said.err.splitlines()[-1] == "factflow: 2 messages failed"


def test_fewer_failures_than_allowed_are_no_failure(factflow, pipeline):
    assert factflow("run", pipeline(FAILING), "--fail-on-failed", "3").status == 0


@pytest.mark.parametrize("number", ["0", "-1"])
def test_the_number_is_at_least_one(factflow, pipeline, number):
    assert factflow("run", pipeline(FAILING), f"--fail-on-failed={number}").status == 2


def test_the_document_has_the_status(factflow, pipeline):
    said = factflow("run", pipeline(FAILING), "--fail-on-failed", "--output", "json")
    assert (said.document["status"], said.document["exit_status"], said.status) == ("completed", 3, 3)


def test_a_run_that_gets_no_message_says_what_to_do(factflow, pipeline, tmp_path):
    file = pipeline(FAILING[: FAILING.index("init_message")])
    said = factflow("run", file)
    assert "no message came" in said.err
    assert "--queue" in said.err
    said = factflow("run", file, "--queue", f"sqlite:///{tmp_path}/q.db")
    assert "no message came" in said.err
    assert "factflow publish" in said.err
    assert "--forever" in said.err
