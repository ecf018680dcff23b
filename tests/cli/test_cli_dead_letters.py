"""Dead letters from the command line: what is listed, what is selected, and that only what was previewed is changed."""

import datetime as dt
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from factflow_engine.cli import dead_letters, dlq_choice, failure_groups, selection
from factflow_engine.cli.guard import InvalidInputError
from factflow_engine.cli.selection import condition_of, time_of
from factflow_engine.frames import Frame, pack
from factflow_engine.queues.dead_letters import write_dead_letter
from support.queue_files import drain, fill
from support.sqlite_queues import message

DEAD = "/queue/dlq"
NOW_NS = 1_800_000_000_000_000_000


def letter(number: int, payload: Any = None, *, hours: float = 0, key: str | None = None, **fields: Any) -> Frame:
    """A dead letter of some hours ago."""
    why = {
        "route": "parse", "stage": "markdown", "queue": "/queue/parse", "error_type": "ValueError", "error": "boom",
        "place": "parse_line.py:4", "config_hash": "c" * 64, "time_ns": NOW_NS - round(hours * 3600e9), **fields,
    }  # fmt: skip
    data = pack({"n": number} if payload is None else payload)
    return write_dead_letter(Frame.create(data, message_id=number.to_bytes(16), key=key), renames=False, **why)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    class Clock:
        def wall_ns(self) -> int:
            return NOW_NS

    monkeypatch.setattr(selection, "SystemClock", Clock)
    path = tmp_path / "q.db"
    return path, f"sqlite:///{path}"


def listed(said: Any) -> list[int]:
    return [int(each["message_id"], 16) for each in said.document["dead_letters"]]


def left(path: Path) -> list[int]:
    return sorted(int.from_bytes(frame.message_id) for frame in drain(path, DEAD))


def test_the_newest_come_first_with_key_place_and_the_beginning_of_the_payload(
    factflow: Callable[..., Any], file: tuple[Path, str], samples: Any
) -> None:
    path, url = file
    fill(path, letter(1), letter(2, {"t": samples.HOSTILE}, key="k\x1b[2m"), letter(3, "x" * 70_000), queue=DEAD)
    said = factflow("dlq", "list", url, DEAD)
    third, second, first = said.out.splitlines()[:3]
    assert third.startswith(f"{3:032x}  2027-01-15 08:00:00  parse/markdown  ")
    assert third.endswith("  ValueError: boom (parse_line.py:4)  <70005 bytes>")
    assert "key k\\x1b[2m" in second
    assert "{'t': '[bold]" in second
    assert "key" not in first
    assert "\x1b" not in said.out
    document = factflow("dlq", "list", url, DEAD, "--limit", 2, "-o", "json").document
    assert [(each["key"], each["place"]) for each in document["dead_letters"]] == [
        (None, "parse_line.py:4"),
        ("k\x1b[2m", "parse_line.py:4"),
    ]
    assert (document["more"], document["total"], document["selected"]) == (True, 3, 3)


def test_plain_letters_are_rows_of_bare_cells_and_wide_ones_are_cut_nowhere(
    factflow: Callable[..., Any], file: tuple[Path, str], samples: Any
) -> None:
    path, url = file
    error = f"a\tb {'x' * 400} end"
    fill(path, letter(1), letter(2, {"t": samples.HOSTILE}, key="k", error=error), queue=DEAD)
    said = factflow("dlq", "list", url, DEAD, "-o", "plain")
    rows = [line.split("\t") for line in said.out.splitlines()]
    moment = "2027-01-15 08:00:00"
    where = "parse_line.py:4"
    error = error.replace("\t", "\\t")
    assert [row[:-1] for row in rows] == [
        [f"{2:032x}", moment, "parse/markdown", "1", "k", "waiting", f"ValueError: {error}", where],
        [f"{1:032x}", moment, "parse/markdown", "1", "", "waiting", "ValueError: boom", where],
    ]
    assert rows[1][-1] == "{'n': 1}"
    assert "\x1b" not in said.out
    wide = factflow("dlq", "list", url, DEAD, "-o", "wide").out.splitlines()
    assert f"ValueError: {error}" in wide[1]
    assert "2 dead letters in /queue/dlq" in wide


def test_messages_that_are_no_dead_letters_are_named_beside_plain_rows(
    factflow: Callable[..., Any], file: tuple[Path, str]
) -> None:
    path, url = file
    fill(path, message(7), queue=DEAD)
    said = factflow("dlq", "list", url, DEAD, "-o", "plain")
    assert (said.out, "1 other message there" in said.err) == ("", True)


def test_secrets_of_the_environment_are_hidden(
    factflow: Callable[..., Any], file: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, url = file
    monkeypatch.setenv("API_TOKEN", "sesame-open-77")
    secret = {"token": "sesame-open-77"}
    fill(path, letter(1, secret, key="sesame-open-77", error="no sesame-open-77", place=""), queue=DEAD)
    for options in ((), ("-o", "json")):
        said = factflow("dlq", "list", url, DEAD, *options)
        assert "sesame" not in said.out
        assert "${API_TOKEN}" in said.out


def test_letters_are_counted_by_stage_error_and_place_with_one_sample(
    factflow: Callable[..., Any], file: tuple[Path, str]
) -> None:
    path, url = file
    several = [letter(number, error=f"line {number}") for number in range(5)]
    others = [
        letter(10 + number, error_type="HttpError", error=f"GET https://example.org/{number}: {status}", place="")
        for number, status in enumerate((404, 404, 503))
    ]
    fill(path, *several, *others, message(99), queue=DEAD)
    said = factflow("dlq", "list", url, DEAD, "--limit", 1)
    lines = [line.strip() for line in said.out.splitlines()]
    assert lines[1:] == [
        "8 dead letters in /queue/dlq",
        "5 x ValueError, 3 x HttpError",
        "parse/markdown  5 x ValueError: line 4 (parse_line.py:4)",
        f"newest message {4:032x}: {{'n': 4}}",
        "parse/markdown  2 x HttpError: GET https://example.org/1: 404",
        f"newest message {11:032x}: {{'n': 11}}",
        "parse/markdown  HttpError: GET https://example.org/2: 503",
        f"message {12:032x}: {{'n': 12}}",
        f"1 other message there: no dead letter, or damaged, such as {99:032x}",
    ]
    assert "1 of 8 letters listed; --limit lists more" in said.err
    document = factflow("dlq", "list", url, DEAD, "-o", "json").document
    assert document["error_types"] == {"ValueError": 5, "HttpError": 3}
    assert [(group["count"], group["place"]) for group in document["groups"]] == [
        (5, "parse_line.py:4"),
        (2, ""),
        (1, ""),
    ]
    assert document["other_messages"] == [f"{99:032x}"]


def test_no_more_groups_are_told_apart_than_fit(
    factflow: Callable[..., Any], file: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, url = file
    monkeypatch.setattr(failure_groups, "MOST_GROUPS", 2)
    fill(path, *(letter(number, place=f"a.py:{number}") for number in range(4)), queue=DEAD)
    document = factflow("dlq", "list", url, DEAD, "-o", "json").document
    assert (len(document["groups"]), document["ungrouped"], document["selected"]) == (2, 2, 4)
    assert "... and 2 more" in factflow("dlq", "list", url, DEAD).out


def test_letters_without_a_place_or_with_long_headers_are_listed(
    factflow: Callable[..., Any], file: tuple[Path, str]
) -> None:
    path, url = file
    old = letter(1)
    header = {name: value for name, value in old.headers["dead_letter"].items() if name != "place"}
    long = letter(2, "y" * 10_000).restamp(headers={**letter(2).headers, "long": "x" * dead_letters.HEAD_BYTES})
    fill(path, old.restamp(headers={"dead_letter": header}), long, queue=DEAD)
    said = factflow("dlq", "list", url, DEAD, "-o", "json")
    assert listed(said) == [2, 1]
    assert [each["place"] for each in said.document["dead_letters"]] == ["parse_line.py:4", ""]
    assert said.document["dead_letters"][0]["payload_preview"].startswith("'yyy")


def test_payloads_are_not_read_unless_they_are_shown_or_asked_about(
    factflow: Callable[..., Any], file: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, url = file
    fill(path, *(letter(number, {"n": number, "x": "y" * 50_000}) for number in range(10)), queue=DEAD)
    read = []
    found = dead_letters._found

    async def counted(queues: Any, queue: str, stored: Any) -> Any:
        read.append(len(stored.frame))
        return await found(queues, queue, stored)

    monkeypatch.setattr(dead_letters, "_found", counted)
    said = factflow("dlq", "list", url, DEAD, "--limit", 1, "--since", "1h", "-o", "json")
    assert said.document["dead_letters"][0]["payload_preview"].startswith("{'n': 9, 'x': 'yyy")
    assert read == [dead_letters.HEAD_BYTES] * 10
    read.clear()
    assert listed(
        factflow("dlq", "list", url, DEAD, "--where", "{field: n, operator: lt, value: 2}", "-o", "json")
    ) == [1, 0]
    assert min(read) > 50_000


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--error-type", "ValueError"), [5, 3, 1]),
        (("--error-type", "ValueError", "--error-type", "KeyError"), [5, 4, 3, 2, 1, 0]),
        (("--since", "90m"), [5, 4]),
        (("--since", "2h"), [5, 4, 3]),
        (("--since", "2027-01-15T06:00:00"), [5, 4, 3]),
        (("--since", "2027-01-15T08:00+02:00"), [5, 4, 3]),
        (("--where", "{field: n, operator: in, value: [0, 3]}"), [3, 0]),
        (
            (
                "--where",
                '{"field": "n", "operator": "gt", "value": 1}',
                "--error-type",
                "ValueError",
                "--since",
                "150m",
            ),
            [5, 3],
        ),
    ],
)
@pytest.mark.parametrize("command", ["list", "requeue", "purge"])
def test_selections_select(
    factflow: Callable[..., Any],
    file: tuple[Path, str],
    command: str,
    options: tuple[str, ...],
    expected: list[int],
) -> None:
    path, url = file
    kinds = ("KeyError", "ValueError")
    fill(path, *(letter(n, hours=5 - n, error_type=kinds[n % 2]) for n in range(6)), message(9), queue=DEAD)
    if command == "list":
        assert listed(factflow("dlq", "list", url, DEAD, *options, "-o", "json")) == expected
        return
    said = factflow("dlq", command, url, DEAD, *options, "--yes", "-o", "json")
    done = said.document["requeued" if command == "requeue" else "deleted"]
    assert (said.status, done) == (0, len(expected))
    assert left(path) == sorted({0, 1, 2, 3, 4, 5, 9} - set(expected))
    if command == "requeue":
        assert [frame.value()["n"] for frame in drain(path, "/queue/parse")] == sorted(expected), "in the queue's order"


def test_a_limit_takes_the_newest(factflow: Callable[..., Any], file: tuple[Path, str]) -> None:
    path, url = file
    fill(path, *map(letter, range(6)), queue=DEAD)
    assert factflow("dlq", "purge", url, DEAD, "--limit", 2, "--yes").out == "2 dead letters deleted\n"
    assert factflow("dlq", "requeue", url, DEAD, "--limit", 1, "--yes").out == "1 message put back\n"
    assert left(path) == [0, 1, 2]


def test_a_purge_previews_asks_and_deletes_what_was_previewed_and_not_what_arrived_meanwhile(
    factflow: Callable[..., Any], file: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, url = file
    fill(path, *map(letter, range(3)), letter(7, error_type="KeyError"), message(9), queue=DEAD)
    said = factflow("dlq", "purge", url, DEAD, "--error-type", "ValueError", answer="n\n")
    assert (said.status, said.out) == (1, "")
    assert "3 dead letters chosen, of 4 in /queue/dlq" in said.err
    assert "parse/markdown  3 x ValueError: boom (parse_line.py:4)" in said.err
    assert "Delete 3 dead letters of /queue/dlq?" in said.err
    assert said.err.endswith("factflow: nothing was changed\n")
    asked = dlq_choice.confirmed

    def meanwhile(*arguments: Any, **options: Any) -> bool:
        fill(path, letter(20), queue=DEAD)
        return asked(*arguments, **options)

    monkeypatch.setattr(dlq_choice, "confirmed", meanwhile)
    said = factflow("dlq", "purge", url, DEAD, "--error-type", "ValueError", answer="y\n")
    assert (said.status, said.out) == (0, "3 dead letters deleted\n")
    assert left(path) == [7, 9, 20]
    assert factflow("queue", "fsck", url).out == "0 problems\n"


def test_all_are_purged_but_what_is_no_dead_letter(factflow: Callable[..., Any], file: tuple[Path, str]) -> None:
    path, url = file
    fill(path, *map(letter, range(3)), message(9), queue=DEAD)
    assert factflow("dlq", "purge", url, DEAD, "--all", "--yes").out == "3 dead letters deleted\n"
    assert factflow("dlq", "purge", url, DEAD, "--all").out == "0 dead letters deleted\n", "nothing to ask about"
    assert left(path) == [9]


def test_a_letter_is_purged_by_its_id(factflow: Callable[..., Any], file: tuple[Path, str]) -> None:
    path, url = file
    fill(path, letter(1), letter(2), queue=DEAD)
    said = factflow("dlq", "purge", url, DEAD, f"{1:032x}", answer="y\n")
    assert (said.status, said.out) == (0, "1 dead letter deleted\n")
    assert "has no message" in factflow("dlq", "purge", url, DEAD, f"{1:032x}", "--yes").err
    assert left(path) == [2]


@pytest.mark.parametrize("command", ["requeue", "purge"])
@pytest.mark.parametrize("options", [(), ("-o", "json")])
def test_where_nobody_can_answer_it_is_refused_with_what_to_write(
    factflow: Callable[..., Any], file: tuple[Path, str], command: str, options: tuple[str, ...]
) -> None:
    path, url = file
    fill(path, letter(1), queue=DEAD)
    said = factflow("dlq", command, url, DEAD, "--all", *options)
    assert said.status == 2
    assert "asks first; write --yes where nobody can answer" in said.err
    assert left(path) == [1]


@pytest.mark.parametrize("command", ["requeue", "purge"])
@pytest.mark.parametrize(
    "choice", [(), ("--all", "00000000"), ("--all", "--since", "2h"), ("00000000", "--limit", "1")]
)
def test_letters_are_chosen_in_one_way(
    factflow: Callable[..., Any], file: tuple[Path, str], command: str, choice: tuple[str, ...]
) -> None:
    path, url = file
    fill(path, letter(1), queue=DEAD)
    said = factflow("dlq", command, url, DEAD, *choice, "--yes")
    assert said.status == 2
    assert "name the messages, or write --all, or select some with" in said.err


def test_a_class_of_errors_that_no_letter_has_is_answered_with_those_there_are(
    factflow: Callable[..., Any], file: tuple[Path, str]
) -> None:
    path, url = file
    fill(path, letter(1), letter(2, error_type="KeyError"), queue=DEAD)
    said = factflow("dlq", "list", url, DEAD, "--error-type", "ValuError")
    assert (said.status, said.out) == (0, "0 of 2 dead letters in /queue/dlq\n")
    assert said.err == "factflow: no dead letter has the error type ValuError; there are KeyError, ValueError\n"
    said = factflow("dlq", "purge", url, DEAD, "--error-type", "ValuError")
    assert (said.status, said.out) == (0, "0 dead letters deleted\n")
    assert "no dead letter has the error type ValuError; there are KeyError, ValueError" in said.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("total > 100", "is no condition; write one as in a pipeline, such as '{field: url"),
        ("", "is no condition; write one"),
        ("{field: n, operator: equals, value: 1}", "--where:1:22: E4"),
        ("{field: n, operator: matches, value: '('}", "--where:1:38: E4"),
        ("{field: n", "--where:1:"),
        ("{field: n, operator: eq, value: 1, vale: 2}", "vale"),
        ("\0", "--where:1:1: E018"),
    ],
)
def test_a_wrong_condition_is_one_error_with_its_place(text: str, said: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        condition_of(text)
    assert said in str(raised.value)


@pytest.mark.parametrize("text", ["yesterday", "2x", "-1h", "h", "", "2026", "1h30m", "1e9d", "2027-13-01"])
def test_a_wrong_time_is_answered_with_right_ones(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"write a duration \(90s, 30m, 2h, 7d\) or a time"):
        time_of(text, NOW_NS)


def test_times_are_read() -> None:
    assert time_of("1.5h", NOW_NS) == NOW_NS - 5_400 * 10**9
    assert time_of("999999999w", NOW_NS) == 0
    assert time_of("2026-11-29", NOW_NS) == dt.datetime(2026, 11, 29, tzinfo=dt.UTC).timestamp() * 10**9
    with pytest.raises(InvalidInputError, match="is in the future"):
        time_of("2127-01-01", NOW_NS)


def test_many_letters_are_told_of_while_they_are_deleted(
    factflow: Callable[..., Any], file: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, url = file
    monkeypatch.setattr(dlq_choice, "SECONDS", 0)
    fill(path, *map(letter, range(1_100)), queue=DEAD)
    said = factflow("dlq", "purge", url, DEAD, "--all", "--yes")
    assert said.out == "1,100 dead letters deleted\n"
    assert "factflow: 500 dead letters deleted, of 1,100\n" in said.err
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM message").fetchone() == (0,)
