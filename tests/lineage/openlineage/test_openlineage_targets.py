"""Where events go: URLs, a file that several processes append to, an endpoint that answers in every way."""

import fcntl
import json
import os
import resource
import subprocess
import sys

import pytest
import trio

from factflow_engine.lineage.openlineage.targets import FileTarget, HttpTarget, TargetError, check_url, open_target
from factflow_engine.seams import TrioThreads
from support.endpoints import Endpoint

EVENTS = [{"n": 1, "text": "ä\n"}, {"n": 2}]


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    "url",
    [
        "file:///var/log/events.jsonl",
        "file://./events.jsonl",
        "file://./folder/with%20space.jsonl",
        "https://host/api/v1/lineage",
        "http://127.0.0.1:5000/x?y=z",
    ],
)
def test_urls_of_files_and_endpoints_are_taken(url):
    assert check_url(url) is None


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("events.jsonl", "names neither"),
        ("ftp://host/x", "names neither"),
        ("https:/host", "names neither"),
        ("file://", "names no file"),
        ("file:///", "names no file"),
        ("file:///folder/", "names no file"),
        ("file://host/x", "is no local file"),
        ("file:///x?y=1", "is no local file"),
        ("file:///a%00b", "names no file"),
        ("https://", "names no host"),
        ("https://user:secret@host/x", "URLs are shown"),
        ("https://host/x y", "has a space"),
        ("https://host/x#y", "write %23"),
        ("https://host:99999/x", "cannot be read"),
        ("https://[::1/x", "cannot be read"),
    ],
)
def test_other_urls_are_refused_with_what_to_write(url, text):
    problem = check_url(url)
    assert text in problem
    assert "secret" not in problem


async def test_lines_are_appended_to_a_file_from_any_folder(tmp_path):
    target = open_target(
        "file://./events%20here.jsonl", directory=tmp_path, api_key=None, timeout_seconds=1, threads=TrioThreads()
    )
    await target.send(EVENTS)
    await target.send(EVENTS[:1])
    assert lines(tmp_path / "events here.jsonl") == [*EVENTS, EVENTS[0]]


async def test_a_file_that_is_kept_locked_is_left_after_a_while(tmp_path):
    path = tmp_path / "events.jsonl"
    target = FileTarget(path, threads=TrioThreads())
    with path.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with trio.fail_after(30):
            with pytest.raises(TargetError, match="another process keeps it locked"):
                await target.send(EVENTS)
            with trio.move_on_after(0.05) as scope:
                await target.send(EVENTS)
            assert scope.cancelled_caught
        assert path.read_text() == ""
    await target.send(EVENTS)
    assert lines(path) == EVENTS


async def test_a_torn_line_is_ended_before_the_next(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"n": 0}\n{"to')
    await FileTarget(path, threads=TrioThreads()).send(EVENTS)
    found = path.read_text().splitlines()
    assert found[1] == '{"to'
    assert [json.loads(line) for line in (found[0], *found[2:])] == [{"n": 0}, *EVENTS]


async def test_a_full_disk_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "events.jsonl"
    target = FileTarget(path, threads=TrioThreads())
    await target.send(EVENTS)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
    try:
        with pytest.raises(TargetError, match="File too large") as caught:
            await target.send(EVENTS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not caught.value.is_final
    assert path.read_bytes() == before
    await target.send(EVENTS)
    assert lines(path) == [*EVENTS, *EVENTS]


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo], ids=["folder", "pipe"])
async def test_a_path_that_is_no_file_is_an_error(tmp_path, make):
    make(tmp_path / "events")
    with pytest.raises(TargetError, match="events'"):
        await FileTarget(tmp_path / "events", threads=TrioThreads()).send(EVENTS)


async def test_processes_append_whole_lines_at_once(tmp_path):
    program = (
        "import sys, trio\nfrom pathlib import Path\n"
        "from factflow_engine.lineage.openlineage.targets import FileTarget\n"
        "from factflow_engine.seams import TrioThreads\n"
        "async def main():\n"
        "    target = FileTarget(Path(sys.argv[1]), threads=TrioThreads())\n"
        "    for n in range(50):\n"
        "        await target.send([{'of': sys.argv[2], 'n': n, 'filler': 'x' * 9000}] * 2)\n"
        "trio.run(main)\n"
    )
    path = tmp_path / "events.jsonl"
    running = [subprocess.Popen([sys.executable, "-c", program, path, name]) for name in "ab"]
    assert [process.wait() for process in running] == [0, 0]
    found = lines(path)
    assert len(found) == 200
    for one, other in zip(found[::2], found[1::2], strict=True):
        assert one == other  # the two of a call lie together


def target_of(endpoint, **options):
    return HttpTarget(endpoint.url, threads=TrioThreads(), **{"api_key": None, "timeout_seconds": 30.0, **options})


async def test_each_event_is_one_request_with_the_token(nursery):
    endpoint = await Endpoint.started(nursery)
    await target_of(endpoint, api_key="tok-en").send(EVENTS)
    assert [json.loads(body) for _, body in endpoint.requests] == EVENTS
    head = endpoint.requests[0][0].lower()
    assert head.startswith("post /api/v1/lineage http/1.1")
    assert "authorization: bearer tok-en" in head
    assert "content-type: application/json" in head


@pytest.mark.parametrize(
    ("status", "is_final"),
    [(400, True), (401, True), (302, True), (404, True), (408, False), (429, False), (503, False)],
)
async def test_an_answer_says_whether_to_try_again(nursery, status, is_final):
    endpoint = await Endpoint.started(nursery, [200, status])
    with pytest.raises(TargetError, match=f"answered {status}: no thanks") as caught:
        await target_of(endpoint, api_key="tok-en").send(EVENTS)
    assert (caught.value.sent, caught.value.is_final) == (1, is_final)
    assert "tok-en" not in str(caught.value)
    assert len(endpoint.requests) == 2


async def test_retry_after_is_passed_on_and_a_long_answer_is_cut(nursery):
    endpoint = await Endpoint.started(nursery, [503], headers="Retry-After: 7\r\n", body=b"no " * 100_000)
    with pytest.raises(TargetError) as caught:
        await target_of(endpoint).send(EVENTS)
    assert caught.value.retry_after == 7.0
    assert len(str(caught.value)) < 400


async def test_no_server_and_no_answer_are_errors_to_try_again(nursery):
    endpoint = await Endpoint.started(nursery, ["hang"])
    with pytest.raises(TargetError, match="Timeout") as caught:
        await target_of(endpoint, timeout_seconds=0.05).send(EVENTS)
    assert not caught.value.is_final
    endpoint = await Endpoint.started(nursery, ["close"])
    with pytest.raises(TargetError, match="Error") as caught:
        await target_of(endpoint).send(EVENTS)
    assert not caught.value.is_final
    with pytest.raises(TargetError, match="Connect") as caught:
        await HttpTarget("http://127.0.0.1:1/", api_key=None, timeout_seconds=5, threads=TrioThreads()).send(EVENTS)
    assert not caught.value.is_final


async def test_a_token_that_no_header_can_have_is_not_shown(nursery):
    endpoint = await Endpoint.started(nursery)
    with pytest.raises(TargetError) as caught:
        await target_of(endpoint, api_key="secret\nvalue").send(EVENTS)
    assert "secret" not in str(caught.value)


async def test_without_httpx_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(TargetError, match=r"pip install 'factflow-engine\[http\]'") as caught:
        await HttpTarget("http://h/", api_key=None, timeout_seconds=1, threads=TrioThreads()).send(EVENTS)
    assert caught.value.is_final


async def test_cancelling_a_call_leaves_at_once(nursery):
    endpoint = await Endpoint.started(nursery, ["hang"])
    with trio.fail_after(60), trio.move_on_after(0.05) as scope:
        await target_of(endpoint).send(EVENTS)
    assert scope.cancelled_caught
