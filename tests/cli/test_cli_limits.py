"""Concurrency limits in the displays and in the report: their value, and why it is that."""

import dataclasses
import io
import json

import pytest
from rich.console import Console

from factflow_engine.cli.limits import limit_document, limit_lines
from factflow_engine.cli.progress.live import live_table
from factflow_engine.cli.progress.plain import progress_line
from factflow_engine.cli.report import print_report, report_document
from factflow_engine.cli.session import SessionEnd


def printed(value: object, width: int = 80) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None).print(value)
    return stream.getvalue()


def with_limits(samples, **limits):
    return dataclasses.replace(samples.statistics(fetch=samples.route(limit=12, in_flight=3)), limits=limits)


def test_each_limit_has_its_value_and_the_reason_of_its_last_change(samples):
    limits = {
        "fetch": samples.limit(in_flight=9, waiting=3),
        "fetch/get": samples.limit(last_change=None, is_monitor_only=True),
    }
    assert list(limit_lines(limits)) == [
        "limit of fetch: 12 (grow, was 10), in flight 9, 3 waiting",
        "limit of fetch/get: 12 (adaptive; monitored only), in flight 0",
    ]


def test_a_fixed_limit_is_shown_only_while_calls_wait_for_it(samples):
    fixed = samples.limit(algorithm="fixed", last_change=None, limit=3, in_flight=3)
    assert list(limit_lines({"a": fixed})) == []
    assert list(limit_lines({"a": dataclasses.replace(fixed, waiting=2)})) == [
        "limit of a: 3 (fixed), in flight 3, 2 waiting"
    ]


def test_of_many_limits_those_that_calls_wait_for_come_first(samples):
    limits = {f"r{number}": samples.limit(waiting=number) for number in range(9)}
    lines = list(limit_lines(limits))
    assert [line.split(":")[0] for line in lines[:3]] == ["limit of r8", "limit of r7", "limit of r6"]
    assert lines[3:] == ["and 6 more limits"]


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_and_the_plain_line_show_them(samples, width):
    statistics = with_limits(samples, fetch=samples.limit(in_flight=3))
    table = printed(live_table(statistics, title="a pipeline", width=width), width)
    assert "limit of fetch: 12 (grow, was 10), in flight 3" in " ".join(table.split())
    assert max(map(len, table.splitlines())) <= width
    assert "limit" in table.splitlines()[2], "the column is there"
    assert "; limit of fetch: 12 (grow, was 10), in flight 3" in progress_line(statistics)


def test_many_limits_with_long_names_fit_into_eighty_columns(samples):
    limits = {
        f"fetch-{number}/{'x' * 90}": samples.limit(in_flight=number, waiting=number * 1000) for number in range(12)
    }
    table = printed(live_table(with_limits(samples, **limits), title="a pipeline", width=80))
    assert max(map(len, table.splitlines())) <= 80
    whole = " ".join(table.split())
    assert "11,000 waiting" in whole
    assert "more limits" in whole


def test_hostile_names_are_cleaned(samples):
    [line] = limit_lines({samples.HOSTILE: samples.limit()})
    assert "\x1b" not in line
    assert "\n" not in line


def test_the_report_has_the_history_in_brief(samples):
    report = samples.report(
        limits={"fetch": samples.limit(acquired=99), "b": samples.limit(algorithm="fixed", changes={})}
    )
    stream = io.StringIO()
    end = SessionEnd(report=report, interrupted_by=None)
    print_report(end, Console(file=stream, width=80, color_system=None))
    assert "limit of fetch: 12, median 11 of 4 to 24, 10 changes: grow 7, queue 3\n" in stream.getvalue()
    assert "limit of b" not in stream.getvalue()
    document = json.loads(json.dumps(report_document(end)))
    assert document["limits"]["fetch"] == limit_document(report.limits["fetch"])
    assert document["limits"]["fetch"]["median"] == 11
    assert document["limits"]["fetch"]["last_change"] == {
        "before": 10,
        "after": 12,
        "reason": "grow",
        "statistics": {"queue": 0.5},
    }


def test_a_run_reports_the_limit_of_a_stage(factflow, pipeline):
    path = pipeline(
        'version: "1.0"\nroutes: {r: {adapters: [{type: delay, config: {seconds: 0.001}, '
        "backpressure: {algorithm: aimd, max_concurrency: 3}}]}}\n"
        "init_message: [{route: r, payload: 1}, {route: r, payload: 2}]\n"
    )
    said = factflow("run", path, "--output", "json")
    assert said.document["limits"]["r/delay"]["answered"] == 2
