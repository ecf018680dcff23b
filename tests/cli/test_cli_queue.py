import sqlite3
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import trio

from factflow_engine.frames import Frame, pack
from factflow_engine.queues.sqlite import SqliteQueue, administration
from factflow_engine.queues.sqlite.requeueing import requeue
from factflow_protocols import StateChange, StoredAnswer
from support.queue_files import dead, drain, fill
from support.sqlite_queues import message, settings


@pytest.fixture
def file(tmp_path: Path) -> tuple[Path, str]:
    path = tmp_path / "q.db"
    return path, f"sqlite:///{path}"


def test_stats_count_every_queue(factflow: Callable[..., Any], file: tuple[Path, str]) -> None:
    path, url = file
    fill(path, message(1), message(2))
    fill(path, message(1), queue="/queue/b")
    said = factflow("queue", "stats", url)
    assert said.status == 0
    assert [line.split()[:2] for line in said.out.splitlines()[1:3]] == [["/queue/a", "2"], ["/queue/b", "1"]]
    document = factflow("queue", "stats", url, "--output", "json").document
    assert [(line["queue"], line["waiting"], line["accepted"]) for line in document["lines"]] == [
        ("/queue/a", 2, 2),
        ("/queue/b", 1, 1),
    ]
    assert document["remembered_ids"] == 3


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", "expected SCHEME://..., got no scheme; the schemes are memory, sqlite"),
        ("memory://", "its provider MemoryQueue has no administration"),
        ("sqlite:///{folder}/none.db", "does not exist"),
        ("sqlite:///{folder}", "is a folder"),
        ("sqlite:///{folder}/x.db?durabilty=power", "did you mean 'durability'"),
        ("sqlite:///{folder}/x.db?lease=-1", "seconds, at least 0.1"),
    ],
)
@pytest.mark.parametrize("command", [("queue", "stats"), ("queue", "fsck")])
def test_a_wrong_url_is_answered_with_a_right_one(
    factflow: Callable[..., Any], tmp_path: Path, command: tuple[str, str], url: str, said: str
) -> None:
    answer = factflow(*command, url.format(folder=tmp_path))
    assert answer.status == 2
    assert said in answer.err
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"


def test_a_file_of_another_program_is_left_alone(factflow: Callable[..., Any], file: tuple[Path, str]) -> None:
    path, url = file
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE mine(x)")
    before = path.read_bytes()
    assert "of another program" in factflow("queue", "stats", url).err
    assert path.read_bytes() == before
    path.write_bytes(b"not a database at all" * 100)
    assert "not a usable SQLite file" in factflow("queue", "stats", url).err


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 99])
@pytest.mark.parametrize("command", [("queue", "stats"), ("queue", "fsck"), ("queue", "fsck", "--repair")])
def test_a_file_that_holds_no_queue_is_refused_and_not_written_to(
    factflow: Callable[..., Any], file: tuple[Path, str], command: tuple[str, ...], content: bytes
) -> None:
    path, url = file
    path.write_bytes(content)
    said = factflow(*command, url)
    assert said.status == 2
    assert "no queue's file" in said.err
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_purge_asks_deletes_and_forgets(factflow: Callable[..., Any], file: tuple[Path, str]) -> None:
    path, url = file
    fill(path, *map(message, range(5)))
    assert factflow("queue", "purge", url, "/queue/a").status == 2, "nobody answered"
    assert factflow("queue", "purge", url, "/queue/a", "--yes").out == "5 messages deleted\n"
    assert "did you mean /queue/a" in factflow("queue", "purge", url, "/queue/b", "--yes").err
    fill(path, message(3))
    assert [frame.value() for frame in drain(path, "/queue/a")] == [3]
    assert factflow("queue", "fsck", url).out == "0 problems\n"


def test_purge_says_what_it_deletes_of_each_kind(factflow: Callable[..., Any], file: tuple[Path, str]) -> None:
    path, url = file

    def prepare() -> None:
        async def settle() -> None:
            provider = SqliteQueue(settings(path, retention_seconds=3600, dedup_seconds=0))
            await provider.publish_batch("/queue/a", [message(number) for number in range(5)])
            async with provider.subscribe("/queue/a", "s", 5) as subscription:
                await subscription.settle(await subscription.receive(2))
            await provider.stop()

        trio.run(settle)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE message SET frame = x'00' WHERE seq = (SELECT max(seq) FROM message)")
        assert factflow("queue", "fsck", url + "?retention=3600", "--repair").status == 1

    prepare()
    said = factflow("queue", "purge", url + "?retention=3600", "/queue/a", "--yes")
    assert said.out == "2 messages deleted, 2 settled ones that were kept, 1 from quarantine\n"
    assert factflow("queue", "fsck", url).out == "0 problems\n"
    prepare()
    document = factflow("queue", "purge", url + "?retention=3600", "/queue/a", "--yes", "-o", "json").document
    assert document == {"deleted": 2, "settled": 2, "quarantined": 1}


def test_quarantine_is_emptied_by_itself(factflow: Callable[..., Any], file: tuple[Path, str]) -> None:
    path, url = file
    for queue in ("/queue/a", "/queue/b"):
        fill(path, *map(message, range(3)), queue=queue)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE message SET frame = x'00' WHERE seq & 1023 = 2")
        connection.execute("INSERT INTO message SELECT 1, message_id, frame FROM message LIMIT 1")
    assert factflow("queue", "fsck", url, "--repair").out.endswith("3 problems mended, 3 left\n")
    said = factflow("queue", "purge", url, "/queue/a", "--quarantined", "--yes")
    assert said.out == "0 messages deleted, 1 from quarantine\n"
    assert factflow("queue", "fsck", url).out.endswith("2 problems\n")
    assert "is not in the file" in factflow("queue", "purge", url, "/queue/z", "--quarantined", "--yes").err
    said = factflow("queue", "purge", url, "--quarantined", "--yes", "-o", "json")
    assert said.document == {"deleted": 0, "settled": 0, "quarantined": 2}
    assert factflow("queue", "fsck", url).out == "0 problems\n"
    assert [frame.value() for frame in drain(path, "/queue/a")] == [0, 2]


@pytest.mark.parametrize("arguments", [(), ("--subscription", "s", "--quarantined")])
def test_purge_wants_a_queue(factflow: Callable[..., Any], file: tuple[Path, str], arguments: tuple[str, ...]) -> None:
    path, url = file
    fill(path, message(1))
    said = factflow("queue", "purge", url, *arguments, "--yes")
    assert said.status == 2
    assert "name the queue" in said.err


def test_purge_does_nothing_if_the_answer_is_no(factflow: Callable[..., Any], file: tuple[Path, str]) -> None:
    path, url = file
    fill(path, message(1))
    said = factflow("queue", "purge", url, "/queue/a", answer="n\n")
    assert (said.status, said.out) == (1, "")
    assert said.err.endswith("factflow: nothing was changed\n")
    assert len(drain(path, "/queue/a")) == 1


def test_forget_asks_and_removes_a_queue_or_a_subscription(
    factflow: Callable[..., Any], file: tuple[Path, str]
) -> None:
    path, url = file

    async def subscribe() -> None:
        provider = SqliteQueue(settings(path))
        for name in ("gone", "here"):
            async with provider.subscribe("/topic/t", name, 1):
                pass
        await provider.stop()

    trio.run(subscribe)
    fill(path, message(1), message(2), queue="/topic/t")
    fill(path, message(1))
    assert factflow("queue", "forget", url, "/topic/t").status == 2, "nobody answered"
    said = factflow("queue", "forget", url, "/topic/t", "--subscription", "gone", answer="n\n")
    assert (said.status, said.err.endswith("factflow: nothing was changed\n")) == (1, True)
    assert "write --yes" in factflow("queue", "forget", url, "/topic/t", "-o", "json").err
    assert (
        "has no subscription 'gnoe'"
        in factflow("queue", "forget", url, "/topic/t", "--subscription", "gnoe", "--yes").err
    )
    said = factflow("queue", "forget", url, "/topic/t", "--subscription", "gone", answer="y\n")
    assert (said.status, said.out) == (0, "1 removed, 2 messages deleted\n")
    document = factflow("queue", "stats", url, "-o", "json").document
    assert [(line["queue"], line["subscription"]) for line in document["lines"]] == [
        ("/queue/a", ""),
        ("/topic/t", "here"),
    ]
    said = factflow("queue", "forget", url, "/queue/a", "--yes", "-o", "json")
    assert said.document == {"forgotten": 1, "deleted": 1, "states": 0, "files": []}
    assert "is not in the file" in factflow("queue", "forget", url, "/queue/a", "--yes").err
    assert factflow("queue", "fsck", url).out == "0 problems\n"


def test_fsck_finds_damage_and_mends_it(factflow: Callable[..., Any], file: tuple[Path, str]) -> None:
    path, url = file
    fill(path, *map(message, range(5)))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE message SET frame = x'00' WHERE seq = (SELECT min(seq) + 1 FROM message)")
        connection.execute("UPDATE line SET held = 7")
    said = factflow("queue", "fsck", url)
    assert said.status == 1
    assert "message number 2 cannot be handed out" in said.out
    mended = factflow("queue", "fsck", url, "--repair", "--output", "json")
    assert len(mended.document["mended"]) == 2
    assert ["quarantine" in problem["text"] for problem in mended.document["problems"]] == [True]
    assert [frame.value() for frame in drain(path, "/queue/a")] == [0, 2, 3, 4]


def test_dead_letters_are_listed_and_shown(factflow: Callable[..., Any], file: tuple[Path, str], samples: Any) -> None:
    path, url = file
    fill(path, dead(1, error=samples.HOSTILE), message(9), queue="/queue/dlq")
    said = factflow("dlq", "list", url, "/queue/dlq")
    assert said.status == 0
    assert "\x1b" not in said.out
    assert "2023-11-14 22:13:20" in said.out
    assert "1 other message there: no dead letter, or damaged" in said.out
    identity = dead(1).message_id.hex()
    shown = factflow("dlq", "show", url, "/queue/dlq", identity)
    assert "ValueError" in shown.out
    assert "\x1b" not in shown.out
    assert "\nkey:               k\n" in shown.out
    document = factflow("dlq", "show", url, "/queue/dlq", identity, "-o", "json").document
    assert (document["payload"], document["headers"], document["attempts"]) == (1, {"trace": "t"}, 3)


def test_what_a_letter_does_not_have_is_left_out(factflow: Callable[..., Any], file: tuple[Path, str]) -> None:
    path, url = file
    keyless = Frame.create(pack(1), message_id=dead(1).message_id, headers=dead(1).headers)
    fill(path, keyless, queue="/queue/dlq")
    shown = factflow("dlq", "show", url, "/queue/dlq", dead(1).message_id.hex())
    assert shown.status == 0
    assert "payload:" in shown.out
    assert "\nkey:" not in shown.out
    assert "None" not in shown.out


def test_a_letter_that_was_given_up_again_shows_what_became_of_it_first(
    factflow: Callable[..., Any], file: tuple[Path, str], samples: Any
) -> None:
    path, url = file
    first = {"route": "early", "error": samples.HOSTILE, "attempts": 2, "time_ns": 1_600_000_000_000_000_000}
    fill(path, dead(1, first=first), queue="/queue/dlq")
    identity = dead(1).message_id.hex()
    shown = factflow("dlq", "show", url, "/queue/dlq", identity)
    assert "\nfirst route:" in shown.out
    assert "early" in shown.out
    assert "\x1b" not in shown.out
    document = factflow("dlq", "show", url, "/queue/dlq", identity, "-o", "json").document
    assert document["first"] == first
    assert "first" not in factflow("dlq", "list", url, "/queue/dlq", "-o", "json").document["dead_letters"][0]
    assert factflow("dlq", "requeue", url, "/queue/dlq", identity).status == 0
    [frame] = drain(path, "/queue/parse")
    assert dict(frame.headers) == {"trace": "t"}


@pytest.mark.parametrize("first", ["text", 7, [1]])
def test_a_letter_whose_first_failure_is_a_header_of_the_messages_own_is_shown(
    factflow: Callable[..., Any], file: tuple[Path, str], first: object
) -> None:
    """Earlier versions wrote it into letters as it was."""
    path, url = file
    fill(path, dead(1, first=first), queue="/queue/dlq")
    said = factflow("dlq", "show", url, "/queue/dlq", dead(1).message_id.hex())
    assert said.status == 0
    assert f"first dead letter: {first}\n" in said.out


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ("zz", "is no message id"),
        ("00", "is no message id"),
        ("ffffffff", "has no message"),
        ("00000000", "begin with"),
    ],
)
def test_an_id_must_name_one_message(
    factflow: Callable[..., Any], file: tuple[Path, str], identity: str, said: str
) -> None:
    path, url = file
    fill(path, dead(1), dead(2), queue="/queue/dlq")
    answer = factflow("dlq", "show", url, "/queue/dlq", identity)
    assert answer.status == 2
    assert said in answer.err


def test_messages_of_one_id_are_shown_and_put_back_by_it(factflow: Callable[..., Any], file: tuple[Path, str]) -> None:
    path, url = file
    for _ in range(2):
        fill(path, dead(1), queue="/queue/dlq", dedup_seconds=0)
    identity = dead(1).message_id.hex()
    said = factflow("dlq", "show", url, "/queue/dlq", identity, "-o", "json")
    assert (said.status, said.document["message_id"]) == (0, identity)
    assert "2 messages have this id" in said.err
    said = factflow("dlq", "requeue", url, "/queue/dlq", identity[:-2], identity)
    assert said.out == "1 message put back, 1 put back before\n"
    assert len(drain(path, "/queue/parse")) == 1
    assert drain(path, "/queue/dlq") == []


def test_requeue_tells_what_it_did_before_it_had_to_stop(factflow: Callable[..., Any], file: tuple[Path, str]) -> None:
    path, url = file

    async def prepare() -> None:
        provider = SqliteQueue(settings(path))
        async with provider.subscribe("/queue/parse", "s", 1, 2):
            pass
        await provider.publish_batch("/queue/dlq", [dead(number) for number in range(5)])
        await provider.stop()

    trio.run(prepare)
    said = factflow("dlq", "requeue", url, "/queue/dlq", "--all", "--yes")
    assert (said.status, said.out) == (2, "2 messages put back\n")
    assert "is full; drain it" in said.err
    said = factflow("dlq", "requeue", url, "/queue/dlq", "--all", "--yes", "-o", "json")
    assert said.status == 2
    assert {name: said.document[name] for name in ("status", "error_type", "requeued")} == {
        "status": "error",
        "error_type": "RequeueStoppedError",
        "requeued": 0,
    }
    assert "is full; drain it" in said.document["error"]


def test_requeue_leaves_letters_with_the_consumer_that_has_them(
    factflow: Callable[..., Any], file: tuple[Path, str]
) -> None:
    path, url = file

    async def take() -> None:
        provider = SqliteQueue(settings(path, lease_seconds=3600.0))
        await provider.publish_batch("/queue/dlq", [dead(number) for number in range(2)])
        subscription = await stack.enter_async_context(provider.subscribe("/queue/dlq", "s", 1))
        await subscription.receive(1)
        answers.append(
            await trio.to_thread.run_sync(factflow, "dlq", "requeue", url, "/queue/dlq", dead(0).message_id.hex())
        )
        answers.append(await trio.to_thread.run_sync(factflow, "dlq", "requeue", url, "/queue/dlq", "--all", "--yes"))
        await stack.aclose()
        await provider.stop()

    stack, answers = AsyncExitStack(), []
    trio.run(take)
    one, rest = answers
    assert (one.status, one.out) == (2, "0 messages put back, 1 left with a consumer\n")
    assert "stop it, or wait for its lease" in one.err
    assert (rest.status, rest.out) == (0, "1 message put back, 1 left with a consumer\n")


def test_what_a_stage_emitted_is_put_back_only_where_it_is_told_to(
    factflow: Callable[..., Any], file: tuple[Path, str]
) -> None:
    path, url = file
    fill(path, dead(1), dead(2, queue=None), queue="/queue/dlq")
    said = factflow("dlq", "requeue", url, "/queue/dlq", "--all", "--yes")
    assert (said.status, said.out) == (2, "1 message put back, 1 left where they are\n")
    assert "since: queue '/queue/dlq': message 00000000000000000000000000000002 was emitted by a stage" in said.err
    said = factflow("dlq", "requeue", url, "/queue/dlq", "0000000000000000")
    assert said.status == 2
    assert "came from no queue; name one" in said.err
    assert factflow("dlq", "show", url, "/queue/dlq", "0000000000000000", "-o", "json").document["queue"] is None
    assert factflow("dlq", "requeue", url, "/queue/dlq", "--all", "--yes", "--to", "/queue/b", "--create").out == (
        "1 message put back\n"
    )
    assert [frame.value() for frame in drain(path, "/queue/b")] == [2]


def test_requeue_puts_back_the_original_once(factflow: Callable[..., Any], file: tuple[Path, str]) -> None:
    path, url = file
    letter = dead(1)
    fill(path, dead(0), letter, dead(2), queue="/queue/dlq")
    identity = letter.message_id.hex()
    assert factflow("dlq", "requeue", url, "/queue/dlq", identity).out == "1 message put back\n"
    [frame] = drain(path, "/queue/parse")
    assert frame.payload == letter.payload
    assert dict(frame.headers) == {"trace": "t"}
    assert (frame.key, frame.attempt, frame.correlation_id) == ("k", 1, letter.correlation_id)
    assert frame.time_ns > letter.time_ns, "a deadline that was over counts anew"
    assert "has no message" in factflow("dlq", "requeue", url, "/queue/dlq", identity).err

    fill(path, Frame.create(pack(1), message_id=letter.message_id), queue="/queue/dlq")  # its id is remembered
    assert len(drain(path, "/queue/dlq")) == 2
    assert factflow("queue", "fsck", url).status == 0


def test_the_same_dead_letter_put_back_twice_is_one_message(
    factflow: Callable[..., Any], file: tuple[Path, str]
) -> None:
    path, url = file
    fill(path, dead(1), queue="/queue/dlq")
    fill(path, dead(1), queue="/queue/dlq2")
    assert factflow("dlq", "requeue", url, "/queue/dlq", "--all", "--yes").out == "1 message put back\n"
    said = factflow("dlq", "requeue", url, "/queue/dlq2", "--all", "--yes")
    assert said.out == "0 messages put back, 1 put back before\n"
    assert len(drain(path, "/queue/parse")) == 1


def test_all_go_where_they_are_sent(factflow: Callable[..., Any], file: tuple[Path, str]) -> None:
    path, url = file
    fill(path, *(dead(number) for number in range(5)), message(77), queue="/queue/dlq")
    options = ("--all", "--yes", "--to", "/queue/again", "--create", "-o", "json")
    document = factflow("dlq", "requeue", url, "/queue/dlq", *options).document
    assert document.pop("status") == "error"
    assert "message 0000000000000000000000000000004d is no dead letter" in document.pop("error")
    assert document.pop("error_type") == "LettersLeftError"
    assert document == {"requeued": 5, "duplicates": 0, "gone": 0, "leased": 0, "left": 1}
    assert len(drain(path, "/queue/again")) == 5
    assert [frame.value() for frame in drain(path, "/queue/dlq")] == [77]


def test_all_others_are_put_back_also_if_one_cannot_be(factflow: Callable[..., Any], file: tuple[Path, str]) -> None:
    path, url = file
    queues = ["/queue/dlq", "/topic/nobody", "parse", "/queue/parse"]
    fill(path, *(dead(number, queue=queue) for number, queue in enumerate(queues)), message(9), queue="/queue/dlq")
    for back in (1, 0):
        said = factflow("dlq", "requeue", url, "/queue/dlq", "--all", "--yes", "-o", "json")
        assert said.status == 2
        assert (said.document["requeued"], said.document["left"]) == (back, 4)
        assert said.document["error_type"] == "LettersLeftError"
        assert "4 could not be put back, the first of them since: " in said.document["error"]
        assert "would go back where it is" in said.document["error"]
    assert len(drain(path, "/queue/parse")) == 1


def test_an_interrupted_requeue_says_what_it_did(
    factflow: Callable[..., Any], file: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, url = file
    fill(path, *map(dead, range(2 * administration.LETTERS + 5)), queue="/queue/dlq")
    calls = []

    def interrupted(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return requeue(*arguments, **options)

    monkeypatch.setattr(administration, "requeue", interrupted)
    said = factflow("dlq", "requeue", url, "/queue/dlq", "--all", "--yes")
    assert said.status == 130
    assert f"factflow: {2 * administration.LETTERS} messages put back\n" in said.err
    assert len(drain(path, "/queue/parse")) == 2 * administration.LETTERS
    monkeypatch.undo()
    assert factflow("dlq", "requeue", url, "/queue/dlq", "--all", "--yes").out == "5 messages put back\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "or write --all"),
        (("--all", "00000000"), "or write --all"),
        (("--all", "--to", "queue/x"), "write '/queue/x'"),
        (("--all", "--to", "parsed"), "write '/queue/parsed'"),
        (("--all", "--to", "exec:nightly:queue/x"), "write '/queue/"),
        (("--all", "--to", "exec:nightly:/topic/x"), "write '/topic/x'"),
        (("--all", "--to", "exec::/queue/x"), "is not a queue name"),
        (("--all", "--yes", "--to", "/queue/dqq"), "did you mean /queue/dlq?"),
        (("--all", "--yes", "--to", "/topic/x"), "nobody subscribes to it"),
        (("--all", "--create"), "add --to"),
        (("--all", "--yes", "--to", "/queue/dlq"), "would go back where it is"),
    ],
)
def test_requeue_says_what_to_write(
    factflow: Callable[..., Any], file: tuple[Path, str], arguments: tuple[str, ...], said: str
) -> None:
    path, url = file
    fill(path, dead(1), queue="/queue/dlq")
    answer = factflow("dlq", "requeue", url, "/queue/dlq", *arguments)
    assert answer.status == 2
    assert said in answer.err


def keep(path: Path) -> None:
    """Have a stage of an execution keep something, and its process leave."""

    async def work() -> None:
        provider = SqliteQueue(settings(path))
        frame = message(1)
        await provider.publish("exec:nightly:/queue/r", frame)
        await provider.publish("exec:nightly:/queue/r", message(2))
        joined = await provider.states.join("exec:nightly:", [("r", "count"), ("r", "write")])
        async with provider.subscribe("exec:nightly:/queue/r", "s", 1) as subscription:
            deliveries = await subscription.receive(1)
            answer = StoredAnswer(stage="count", message_id=b"m" * 16, root=b"r" * 16, answer=b"a")
            change = StateChange(
                execution="exec:nightly:",
                owner=joined.owner,
                route="r",
                states={"count": b"12345", "write": None},
                answers=[answer],
            )
            await subscription.settle(deliveries, change=change)
        await provider.states.leave("exec:nightly:", joined.owner)
        await provider.stop()

    trio.run(work)


def test_stats_list_what_stages_keep(factflow: Callable[..., Any], file: tuple[Path, str]) -> None:
    path, url = file
    fill(path, message(1))
    said = factflow("queue", "stats", url)
    assert said.out.replace("\n", " ").strip().endswith("0 states of stages and 0 answers kept")
    assert "execution" not in said.out
    keep(path)
    said = factflow("queue", "stats", url)
    rows = [line.split() for line in said.out.splitlines()]
    assert ["execution", "stage", "states", "bytes", "answers"] in rows
    assert ["nightly", "r/count", "1", "5", "1"] in rows
    assert ["nightly", "r/write", "1", "0", "0"] in rows
    assert said.out.replace("\n", " ").strip().endswith("2 states of stages and 1 answer kept")
    document = factflow("queue", "stats", url, "-o", "json").document
    assert (document["states"], document["answers"]) == (2, 1)
    assert document["stages"][0] == {
        "execution": "exec:nightly:", "route": "r", "stage": "count", "states": 1, "state_bytes": 5, "answers": 1,
    }  # fmt: skip


def test_forget_removes_what_one_stage_keeps_or_the_whole_execution(
    factflow: Callable[..., Any], file: tuple[Path, str]
) -> None:
    path, url = file
    keep(path)
    forget = ("queue", "forget", url, "--execution", "nightly")
    said = factflow(*forget, "--stage", "r/count", answer="n\n")
    assert (said.status, "keeps?" in said.err) == (1, True)
    said = factflow(*forget, "--stage", "r/count", "--yes")
    assert (said.status, said.out) == (0, "1 state of stages forgotten\n")
    document = factflow("queue", "stats", url, "-o", "json").document
    assert (document["states"], document["answers"]) == (1, 0)
    said = factflow(*forget, "--stage", "r/count", "--yes")
    assert (said.status, "it does of r/write" in said.err) == (2, True)
    said = factflow(*forget, answer="y\n")
    assert (said.status, said.out) == (0, "1 removed, 1 message deleted, 1 state of stages forgotten\n")
    document = factflow("queue", "stats", url, "-o", "json").document
    assert (document["states"], document["lines"]) == (0, [])
    keep(path)
    said = factflow(*forget, "--yes", "-o", "json")
    assert said.document == {"forgotten": 1, "deleted": 1, "states": 2, "files": []}
    assert factflow("queue", "fsck", url).out == "0 problems\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "either QUEUE, or --execution ID"),
        (("/queue/a", "--execution", "x"), "either QUEUE, or --execution ID"),
        (("/queue/a", "--stage", "r/s"), "--stage goes with --execution"),
        (("--execution", "x", "--stage", "s"), "expected ROUTE/STAGE"),
        (("--execution", "x", "--subscription", "s"), "--subscription goes with QUEUE"),
        (("--execution", "x"), "holds nothing of this execution"),
    ],
)
def test_forget_says_what_to_name(
    factflow: Callable[..., Any], file: tuple[Path, str], options: tuple[str, ...], said: str
) -> None:
    path, url = file
    fill(path, message(1))
    answer = factflow("queue", "forget", url, *options, "--yes")
    assert (answer.status, said in answer.err) == (2, True), answer.err
