import io
import json
import signal
from dataclasses import asdict, replace
from typing import Any

from factflow_engine.cli.console import console_for
from factflow_engine.cli.report import print_report, report_document
from factflow_engine.cli.session import SessionEnd
from factflow_engine.runtime.report import Blocker, ExecutionReport, ExecutionStatus, HeldMessage, Holder, OrphanedQueue


def _printed(end: SessionEnd) -> str:
    stream = io.StringIO()
    print_report(end, console_for(stream))
    return stream.getvalue()


def _end(report: ExecutionReport | None, interrupted_by: signal.Signals | None = None) -> SessionEnd:
    return SessionEnd(report=report, interrupted_by=interrupted_by)


def test_the_report_has_status_duration_and_a_row_a_route(samples: Any) -> None:
    routes = {"parse": samples.route(received=1204, completed=1200, filtered=3, failed=1, emitted=1199)}
    text = _printed(_end(samples.report(routes=routes)))
    first, heading, row = text.splitlines()[:3]
    assert first == f"completed  a pipeline in 1.50 s  execution {'e' * 32}"
    assert heading.split() == ["route", "received", "completed", "filtered", "dead-lettered", "failed", "emitted"]
    assert row.split() == ["parse", "1,204", "1,200", "3", "0", "1", "1,199"]


def test_failures_are_named_with_place_error_and_message(samples: Any) -> None:
    failures = (samples.failure(attempts=3), samples.failure(stage=None, error_type="Unrouted"))
    text = _printed(_end(samples.report(failures=failures)))
    assert "2 messages failed" in text
    assert "  parse/markdown  ValueError: boom" in text
    assert f"    message {'0' * 32} after 3 attempts: {{'n': 1}}" in text
    assert "  parse  Unrouted: boom" in text


def test_failures_of_one_place_are_one_entry_with_a_sample(samples: Any) -> None:
    failures = (
        *(samples.failure(error=f"no. {number}", place="parse_line.py:4") for number in range(1200)),
        samples.failure(error="no. 1200", place="parse_line.py:9"),
    )
    text = _printed(_end(samples.report(failures=failures, failures_omitted=3)))
    assert "parse/markdown  1,200 x ValueError: no. 0 (parse_line.py:4)" in text
    assert "first message" in text
    assert "parse/markdown  ValueError: no. 1200 (parse_line.py:9)" in text
    assert "... and 3 more" in text


def test_of_many_failures_the_first_are_shown_and_the_rest_counted(samples: Any) -> None:
    failures = tuple(samples.failure(error=f"no. {chr(ord('a') + number)}") for number in range(25))
    text = _printed(_end(samples.report(failures=failures, failures_omitted=10)))
    assert "35 messages failed" in text
    assert "no. t" in text
    assert "no. u" not in text
    assert "... and 15 more (--output json has the first 25)" in text


def test_failures_without_a_place_are_one_group_if_their_texts_differ_in_numbers_and_names(samples: Any) -> None:
    texts = [
        "line 17: no 'a.b' in https://example.org/1",
        "line 1800: no 'x' in https://example.org/2",
        "status 404",
        "status 503",
    ]
    text = _printed(_end(samples.report(failures=tuple(samples.failure(error=error) for error in texts))))
    assert "2 x ValueError: line 17: no 'a.b' in https://example.org/1" in text
    assert "1800" not in text
    assert "status 404" in text
    assert "status 503" in text


def test_all_recorded_failures_are_in_the_document(samples: Any) -> None:
    failures = tuple(samples.failure(error=f"no. {number}") for number in range(25))
    document = report_document(_end(samples.report(failures=failures, failures_omitted=10)))
    assert [failure["error"] for failure in document["failures"]] == [f"no. {number}" for number in range(25)]  # type: ignore[attr-defined]  # a document is a tree of plain values
    assert document["failures_omitted"] == 10


def test_held_messages_are_named_the_longest_first(samples: Any) -> None:
    held = tuple(
        HeldMessage(route="parse", stage="slow", message_id=f"{number:032x}", seconds=float(number))
        for number in range(30)
    )
    text = _printed(_end(samples.report(status=ExecutionStatus.CANCELLED, held=held)))
    assert "30 messages still held, and given back" in text
    assert text.index("for 29.0 s") < text.index("for 28.0 s")
    assert "... and 10 more" in text


def _blocker(**changes: Any) -> Blocker:
    values: dict[str, Any] = {
        "route": "parse", "stage": "markdown", "call": "process", "place": "mine.py:4", "longest_seconds": 1.5, "times": 3,
        "remedy": "write `def process`", **changes,
    }  # fmt: skip
    return Blocker(**values)


def test_stages_that_held_the_loop_are_named_the_longest_first(samples: Any) -> None:
    blockers = tuple(_blocker(stage=f"s{number:02}", longest_seconds=float(number)) for number in range(1, 31))
    text = _printed(_end(samples.report(blockers=blockers)))
    first, *_, last = [line for line in text.splitlines() if "held the loop" in line]
    assert first == (
        "stage parse/s30 held the loop for 30 s in process() (mine.py:4), 3 times; nothing else ran meanwhile: "
        "write `def process`"
    )
    assert last == "... and 10 more stages that held the loop (--output json has all)"


def test_stages_that_held_the_loop_are_in_the_document(samples: Any) -> None:
    blocker = _blocker()
    assert report_document(_end(samples.report(blockers=(blocker,))))["blockers"] == [asdict(blocker)]


def test_held_messages_say_what_they_waited_for(samples: Any) -> None:
    held = tuple(
        HeldMessage(route="parse", stage=stage, message_id=f"{number:032x}", seconds=float(number), by=holder)
        for number, (stage, holder) in enumerate(
            [("slow", Holder.ADAPTER), ("slow", Holder.RETRY), ("", Holder.DEAD_LETTER_QUEUE), ("slow", Holder.PERMIT)]
        )
    )
    end = _end(samples.report(status=ExecutionStatus.CANCELLED, held=held))
    assert [line.partition("for ")[2] for line in _printed(end).splitlines() if "  message " in line] == [
        "3.0 s, waiting for its turn",
        "2.0 s, waiting for room in the dead-letter queue",
        "1.0 s, waiting to be tried again",
        "0.0 s",
    ]
    assert f"  parse  message {2:032x}" in _printed(end)
    assert [entry["by"] for entry in report_document(end)["held"]] == [  # type: ignore[attr-defined]  # a document is a tree of plain values
        "adapter", "retry", "dead_letter_queue", "permit"
    ]  # fmt: skip


def test_messages_left_in_queues_get_a_column_only_if_there_are_some(samples: Any) -> None:
    assert " left" not in _printed(_end(samples.report()))
    left = _printed(_end(samples.report(routes={"parse": samples.route(waiting=7)})))
    assert left.splitlines()[1].split()[-1] == "left"
    assert left.splitlines()[2].split()[-1] == "7"


def test_a_failed_execution_says_why_and_what_went_wrong_at_its_end(samples: Any) -> None:
    report = samples.report(status=ExecutionStatus.FAILED, error="a died", close_errors=("parse/x: OSError: full",))
    lines = _printed(_end(report)).splitlines()
    assert lines[0].startswith("failed  ")
    assert lines[1] == "  a died"
    assert lines[-1] == "while closing: parse/x: OSError: full"


def test_a_run_that_never_started_has_a_report_too() -> None:
    end = _end(None, signal.SIGINT)
    assert _printed(end) == "cancelled before it had started\n"
    assert report_document(end) == {
        "status": "cancelled",
        "error": "interrupted before it had started",
        "interrupted_by": "SIGINT",
    }


def test_nothing_hostile_reaches_the_terminal(samples: Any) -> None:
    bad = samples.HOSTILE
    failure = samples.failure(route=bad, stage=bad, error_type=bad, error=bad, message_id=bad, payload_preview=bad)
    held = (HeldMessage(route=bad, stage=bad, message_id=bad, seconds=1.0),)
    blockers = (_blocker(route=bad, stage=bad, place=bad),)
    report = samples.report(
        name=bad, error=bad, execution_id=bad, failures=(failure,), held=held, close_errors=(bad,), blockers=blockers,
        routes={bad: samples.route(name=bad)},
    )  # fmt: skip
    text = _printed(_end(report))
    assert all(line.isprintable() for line in text.split("\n"))
    assert text.count("[bold]") >= 10, "markup is printed, not obeyed"


def test_the_document_is_plain_json(samples: Any) -> None:
    report = samples.report(failures=(samples.failure(error=samples.HOSTILE),))
    document = report_document(_end(report, signal.SIGTERM))
    again = json.loads(json.dumps(document))
    assert again == document
    assert again["interrupted_by"] == "SIGTERM"
    assert again["outcomes"] == {"completed": 0, "filtered": 0, "dead_lettered": 0, "failed": 0}
    assert set(again) == {
        "status", "error", "interrupted_by", "execution_id", "name", "config_hash", "duration_seconds", "outcomes",
        "routes", "failures", "failures_omitted", "held", "close_errors", "orphans", "blockers", "limits", "lineage",
    }  # fmt: skip


def test_messages_that_no_route_reads_are_named(samples: Any) -> None:
    orphans = (
        OrphanedQueue(queue="exec:x:/queue/b", subscription="", messages=8),
        OrphanedQueue(queue="/topic/t", subscription="exec:x:s", messages=1),
    )
    end = _end(replace(samples.report(), orphans=orphans))
    text = _printed(end)
    assert "8 messages in exec:x:/queue/b, which no route reads" in text
    assert "1 message in subscription exec:x:s of /topic/t, which no route reads" in text
    assert report_document(end)["orphans"] == [
        {"queue": "exec:x:/queue/b", "subscription": "", "messages": 8},
        {"queue": "/topic/t", "subscription": "exec:x:s", "messages": 1},
    ]
