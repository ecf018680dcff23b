import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from factflow_engine.cli.console import console_for
from factflow_engine.cli.progress.base import Progress
from factflow_engine.cli.progress.live import live_table
from factflow_engine.cli.progress.plain import PlainProgress, progress_line
from factflow_engine.cli.text import OutputClosedError
from factflow_engine.runtime.report import ExecutionStatus, Holder, Wait


def _plain_console() -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return console_for(stream), stream


def test_a_line_has_totals_and_the_routes_that_have_work(samples: Any) -> None:
    line = progress_line(
        samples.statistics(
            busy=samples.route(received=1200, emitted=7, in_flight=8, waiting=30, completed=1190, failed=2),
            idle=samples.route(received=3, completed=3),
        )
    )
    assert line == ("factflow: 1.2 s, running, ended 1,195, failed 2; busy: in 1,200, out 7, in flight 8/8, waiting 30")


def test_a_remark_is_shown_by_every_display_and_makes_a_new_line(samples: Any) -> None:
    console, stream = _plain_console()
    progress, statistics = PlainProgress(console), samples.statistics(a=samples.route())
    for remark in ("1 of 3 published", "2 of 3 published", "2 of 3 published"):
        progress.remark = remark
        progress.show(statistics)
    assert [line.partition("; ")[2] for line in stream.getvalue().splitlines()] == [
        "1 of 3 published",
        "2 of 3 published",
    ]
    assert str(live_table(statistics, title="t", width=80, remark="1 of 3 published").caption) == "1 of 3 published"


def test_of_many_routes_the_busiest_are_named(samples: Any) -> None:
    routes = {f"r{number}": samples.route(waiting=number) for number in range(1, 8)}
    line = progress_line(samples.statistics(**routes))
    assert [name for name in routes if f"{name}:" in line] == ["r4", "r5", "r6", "r7"]
    assert line.endswith("and 3 more routes")


def test_a_paused_route_says_why(samples: Any) -> None:
    waits = (Wait(route="a", stage="", by=Holder.PAUSE, reason="operator", messages=1),)
    statistics = replace(samples.statistics(a=samples.route(waiting=1, pauses=("operator",))), waits=waits)
    assert progress_line(statistics).endswith("a: in 0, out 0, in flight 0/8, waiting 1; a: 1 paused (operator)")


WAITS = tuple(
    Wait(
        route="fetch",
        stage=f"dial{number}",
        by=Holder.RETRY,
        reason="OSError: \x1b[31mno",
        messages=1200,
        seconds=65,
        next_seconds=2.5,
    )
    for number in range(5)
)


def test_what_messages_wait_for_is_shown_and_bounded(samples: Any) -> None:
    statistics = replace(samples.statistics(fetch=samples.route(retrying=6000)), waits=WAITS)
    line = progress_line(statistics)
    said = "fetch/dial0: 1,200 to be tried again, next in 2.5 s, longest 65 s (OSError: \\x1b[31mno)"
    assert f"; {said}; " in line
    assert line.endswith("; and 2 more waits")
    stream = io.StringIO()
    Console(file=stream, width=100, color_system=None).print(live_table(statistics, title="p", width=100))
    assert said in " ".join(stream.getvalue().split())
    assert "retrying 6,000" in stream.getvalue()
    assert "and 2 more waits" in stream.getvalue()


@pytest.mark.parametrize(
    ("by", "said"),
    [
        (Holder.CIRCUIT_OPEN, "r/s: 2 waiting for circuit breaker x, longest 30 min"),
        (Holder.DEAD_LETTER_QUEUE, "r/s: 2 waiting for room in dead-letter queue x, longest 30 min"),
        (Holder.ROOM, "r/s: 2 waiting for room in x, longest 30 min"),
        (Holder.PAUSE, "r/s: 2 paused (x), longest 30 min"),
        (Holder.RETRY, "r/s: 2 to be tried again, longest 30 min (x)"),
    ],
)
def test_each_wait_has_a_text(by: Holder, said: str) -> None:
    assert str(Wait(route="r", stage="s", by=by, reason="x", messages=2, seconds=1800)) == said


def test_plain_progress_repeats_itself_once_a_minute(samples: Any) -> None:
    console, stream = _plain_console()
    progress = PlainProgress(console)
    still = replace(samples.statistics(fetch=samples.route(retrying=6000)), waits=WAITS)
    for seconds in range(0, 181, 3):  # the times change, and nothing else
        waits = tuple(replace(wait, seconds=seconds, next_seconds=60 - seconds % 60) for wait in WAITS)
        progress.show(replace(still, elapsed_seconds=float(seconds), waits=waits))
    assert [line.split()[1] for line in stream.getvalue().splitlines()] == ["0.0", "60.0", "120.0", "180.0"]
    progress.show(replace(samples.statistics(fetch=samples.route(retrying=5999)), elapsed_seconds=181.0, waits=WAITS))
    assert len(stream.getvalue().splitlines()) == 5, "something moved"


def test_plain_progress_writes_plain_lines(samples: Any) -> None:
    console, stream = _plain_console()
    progress = PlainProgress(console)
    progress.show(samples.statistics(**{samples.HOSTILE: samples.route(waiting=1)}))
    progress.say(samples.HOSTILE)
    progress.end(samples.statistics(ExecutionStatus.COMPLETED))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)


def test_no_progress_still_says_what_must_be_said(samples: Any) -> None:
    console, stream = _plain_console()
    progress = Progress(console)
    progress.show(samples.statistics())
    progress.end(samples.statistics())
    progress.say("draining")
    assert stream.getvalue() == "factflow: draining\n"


def test_the_live_table_has_a_row_a_route(samples: Any) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=160, color_system=None)
    routes = {
        "fetch": samples.route(received=12, emitted=10, in_flight=2, waiting=5, failed=1),
        "store": samples.route(pauses=("operator",)),
        samples.HOSTILE: samples.route(),
    }
    console.print(live_table(samples.statistics(**routes), title=samples.HOSTILE, width=160))
    text = stream.getvalue()
    assert text.splitlines()[0].startswith("[bold]\\x1b[31mred")
    fetch, store = (
        next(line for line in text.splitlines() if line.strip().startswith(name)) for name in ("fetch", "store")
    )
    assert fetch.split() == ["fetch", "12", "10", "2", "8", "5", "1", "running"]
    assert store.split()[-2:] == ["paused:", "operator"]
    assert "\x1b" not in text


def test_a_narrow_live_table_keeps_the_numbers(samples: Any) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=60, color_system=None)
    routes = {"a_route_with_a_long_name": samples.route(received=2451, emitted=1762, in_flight=8, waiting=1000)}
    console.print(live_table(samples.statistics(**routes), title="p", width=60))
    assert all(len(line) <= 60 for line in stream.getvalue().splitlines())
    begin, *rest = stream.getvalue().splitlines()[-3].split()
    assert rest == ["2,451", "1,762", "8", "1,000", "0"]
    assert begin + stream.getvalue().splitlines()[-2].strip() == "a_route_with_a_long_name"


def test_a_closed_pipe_is_told_apart_from_an_exit() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(OutputClosedError):
        console_for(Closed()).print("x")


def test_no_color_means_no_escape_sequences_even_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm-256color")
    for variable in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE"):
        monkeypatch.delenv(variable, raising=False)
    coloured, bare = Terminal(), Terminal()
    console_for(coloured).print("x", style="bold red")
    monkeypatch.setenv("NO_COLOR", "1")
    console_for(bare).print("x", style="bold red")
    assert "\x1b" in coloured.getvalue()
    assert bare.getvalue() == "x\n"


@pytest.mark.parametrize("width", [65, 72, 80, 100, 200])
def test_the_live_table_names_each_route_in_one_piece(samples: Any, width: int) -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=width, color_system=None)
    reason = "circuit breaker fetch-pages-from-hosts/http_request is open"
    routes = {
        "fetch-pages-from-hosts": samples.route(received=12345, waiting=26, retrying=4, pauses=(reason,)),
        "store": samples.route(received=7, in_flight=3),
    }
    console.print(live_table(samples.statistics(**routes), title="p", width=width))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    [row] = [line.split() for line in lines if "fetch-pages-from-hosts " in line and "12,345" in line]
    assert row[:4] == ["fetch-pages-from-hosts", "12,345", "0", "0"]
    assert ("paused" in " ".join(row)) is (width >= 80)
    assert (reason in " ".join(row)) is (width >= 200)
